package core

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// TestColumns prints the objects of each file as kubectl get -o wide does. "AGO-15m"
// in a manifest stands for the time fifteen minutes before now.
func TestColumns(t *testing.T) {
	_, codecs := newTestScheme(t)
	files, err := filepath.Glob("testdata/columns/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(Resources()) {
		t.Errorf("%d files for %d kinds", len(files), len(Resources()))
	}
	for _, file := range files {
		kind := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(kind, func(t *testing.T) {
			row := rowOf(t, kind)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			table := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
			for _, column := range row.Columns {
				name := strings.ToUpper(column.Name)
				if column.Wide {
					name += "*"
				}
				fmt.Fprint(table, name, "\t")
			}
			fmt.Fprintln(table)
			documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(ago(t, text))))
			for {
				document, err := documents.Read()
				if err != nil {
					break
				}
				obj, err := runtime.Decode(codecs.UniversalDecoder(corev1.SchemeGroupVersion), document)
				if err != nil {
					t.Fatalf("%v\n%s", err, document)
				}
				for _, column := range row.Columns {
					fmt.Fprint(table, column.Value(obj), "\t")
				}
				fmt.Fprintln(table)
			}
			if err := table.Flush(); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", out.Bytes())
		})
	}
}

func TestEndedPodsAreMarked(t *testing.T) {
	for phase, want := range map[corev1.PodPhase]int{corev1.PodSucceeded: 1, corev1.PodFailed: 1, corev1.PodRunning: 0} {
		got := podRowConditions(&corev1.Pod{Status: corev1.PodStatus{Phase: phase}})
		if len(got) != want || want == 1 && (got[0].Type != metav1.RowCompleted || got[0].Reason != string(phase)) {
			t.Errorf("%s: %+v", phase, got)
		}
	}
}

// ago replaces "AGO-<duration>" by the time that long before now.
func ago(t *testing.T, text []byte) []byte {
	t.Helper()
	for {
		at := bytes.Index(text, []byte("AGO-"))
		if at < 0 {
			return text
		}
		end := at + bytes.IndexAny(text[at:], "\n}, ")
		before, err := time.ParseDuration(string(text[at+len("AGO-") : end]))
		if err != nil {
			t.Fatal(err)
		}
		// A third of a minute more, so that an age in minutes reads the same for
		// as long as the test may take.
		moment := time.Now().UTC().Add(-before - 20*time.Second).Format("2006-01-02T15:04:05.000000Z")
		text = append(text[:at:at], append([]byte(moment), text[end:]...)...)
	}
}
