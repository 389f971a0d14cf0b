package authentication

import (
	"testing"

	"github.com/skiff-project/skiff/apis/resource/rowtest"
)

func TestRows(t *testing.T) {
	g := rowtest.New(t, Resources(), AddToScheme)
	t.Run("create", func(t *testing.T) { g.Create(t, "create") })
}
