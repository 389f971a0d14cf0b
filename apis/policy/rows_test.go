package policy

import (
	"testing"

	"github.com/skiff-project/skiff/apis/resource/rowtest"
)

func TestRows(t *testing.T) {
	g := rowtest.New(t, Resources(), AddToScheme)
	t.Run("create", func(t *testing.T) { g.Create(t, "create") })
	t.Run("update", func(t *testing.T) { g.Update(t, "update") })
	t.Run("status", func(t *testing.T) { g.UpdateStatus(t, "status") })
	t.Run("columns", func(t *testing.T) { g.Columns(t, "columns") })
}
