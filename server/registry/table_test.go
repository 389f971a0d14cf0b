package registry

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

func TestColumns(t *testing.T) {
	column := func(text string) resource.Column {
		name, wide := strings.CutSuffix(text, "*")
		return resource.Column{Name: name, Wide: wide, Value: func(runtime.Object) any { return nil }}
	}
	for declared, want := range map[string]string{
		"":                "Name Age",
		"Ready":           "Name Ready Age",
		"Ready,Image*":    "Name Ready Age Image",
		"Age,Version":     "Name Age Version",
		"Last Seen,Name*": "Last Seen Name",
	} {
		var columns []resource.Column
		for _, name := range strings.Split(declared, ",") {
			if name != "" {
				columns = append(columns, column(name))
			}
		}
		var got []string
		for _, c := range withNameAndAge(columns) {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %q", declared, strings.Join(got, " "), want)
		}
	}
}
