package layout

import (
	"os"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"none":    {},
		"newer":   {content: `{"format":2,"writer":"v9.9"}`, want: "was written by a newer skiff (v9.9, format 2"},
		"damaged": {content: `{"form`, want: "format.json is damaged"},
		"zero":    {content: `{}`, want: "format.json is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := DataDir(t.TempDir())
			if test.content != "" {
				if err := os.WriteFile(dir.FormatFile(), []byte(test.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := dir.CheckFormat()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	dir := DataDir(t.TempDir())
	if err := dir.WriteFormat("v1"); err != nil {
		t.Fatal(err)
	}
	if err := dir.CheckFormat(); err != nil {
		t.Errorf("what was just written is refused: %v", err)
	}
}
