package registry_test

import (
	"encoding/json"
	"testing"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func metav1Unmarshal(raw []byte, into any) error { return json.Unmarshal(raw, into) }
