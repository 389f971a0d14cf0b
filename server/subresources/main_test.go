package subresources_test

import (
	"testing"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
