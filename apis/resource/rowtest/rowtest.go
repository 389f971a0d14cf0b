// Package rowtest tests the rows of an API group with files: manifests as users
// write them go in, and what the row makes of them is compared with golden files.
//
// A file holds several cases as YAML documents; the comment in a document's first
// line names the case. Run the tests with -update to write the golden files anew,
// and read the difference.
package rowtest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/skiff-project/skiff/apis/resource"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Group is an API group under test.
type Group struct {
	scheme  *runtime.Scheme
	decoder runtime.Decoder
	rows    map[string]resource.Resource // by kind
}

// New returns the group of these registrations and rows.
func New(t *testing.T, rows []resource.Resource, add ...func(*runtime.Scheme) error) *Group {
	t.Helper()
	g := &Group{scheme: runtime.NewScheme(), rows: map[string]resource.Resource{}}
	for _, a := range add {
		if err := a(g.scheme); err != nil {
			t.Fatal(err)
		}
	}
	g.decoder = serializer.NewCodecFactory(g.scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, row := range rows {
		g.rows[row.Kind.Kind] = row
	}
	return g
}

// Defaults completes the manifests of file and compares the whole objects.
func (g *Group) Defaults(t *testing.T, file string) {
	var out bytes.Buffer
	for _, c := range g.read(t, file) {
		text, err := yaml.Marshal(c.object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "# %s\n%s---\n", c.name, text)
	}
	compare(t, file, out.Bytes())
}

// Create compares the errors and warnings that creating each manifest gives.
func (g *Group) Create(t *testing.T, file string) {
	ctx := context.Background()
	var out bytes.Buffer
	for _, c := range g.read(t, file) {
		row := g.row(t, c.object)
		if row.PrepareForCreate != nil {
			row.PrepareForCreate(ctx, c.object)
		}
		report(&out, c.name, row.Validate(ctx, c.object))
		if row.Warnings != nil {
			warn(&out, row.Warnings(ctx, c.object, nil))
		}
	}
	compare(t, file, out.Bytes())
}

// Update compares the errors that each change gives. Manifests come in pairs, the
// old object first; what the new one leaves out of the metadata it inherits.
func (g *Group) Update(t *testing.T, file string) {
	g.pairs(t, file, func(ctx context.Context, row resource.Resource, obj, old runtime.Object) field.ErrorList {
		if row.PrepareForUpdate != nil {
			row.PrepareForUpdate(ctx, obj, old)
		}
		return row.ValidateUpdate(ctx, obj, old)
	})
}

// UpdateStatus compares the errors that each change of a status gives.
func (g *Group) UpdateStatus(t *testing.T, file string) {
	g.pairs(t, file, func(ctx context.Context, row resource.Resource, obj, old runtime.Object) field.ErrorList {
		return row.ValidateStatusUpdate(ctx, obj, old)
	})
}

func (g *Group) pairs(t *testing.T, file string, check func(ctx context.Context, row resource.Resource, obj, old runtime.Object) field.ErrorList) {
	cases := g.read(t, file)
	if len(cases)%2 != 0 {
		t.Fatalf("%s: an old object without a new one", file)
	}
	var out bytes.Buffer
	for i := 0; i < len(cases); i += 2 {
		old, c := cases[i], cases[i+1]
		row := g.row(t, old.object)
		if row.PrepareForCreate != nil {
			row.PrepareForCreate(context.Background(), old.object)
		}
		was, err := meta.Accessor(old.object)
		if err != nil {
			t.Fatal(err)
		}
		now, err := meta.Accessor(c.object)
		if err != nil {
			t.Fatal(err)
		}
		now.SetGeneration(was.GetGeneration()) // no client can set it
		report(&out, c.name, check(context.Background(), row, c.object, old.object))
	}
	compare(t, file, out.Bytes())
}

// Columns compares the table cells of each manifest; wide ones have a star.
func (g *Group) Columns(t *testing.T, file string) {
	var out bytes.Buffer
	for _, c := range g.read(t, file) {
		fmt.Fprintf(&out, "# %s\n", c.name)
		for _, column := range g.row(t, c.object).Columns {
			if column.Description == "" {
				t.Errorf("column %s of %T has no description", column.Name, c.object)
			}
			name := column.Name
			if column.Wide {
				name += "*"
			}
			fmt.Fprintf(&out, "%s (%s): %v\n", name, column.Type, column.Value(c.object))
		}
	}
	compare(t, file, out.Bytes())
}

type testCase struct {
	name   string
	object runtime.Object
}

// read decodes the documents of a file into defaulted objects of the group's hub,
// with the metadata that a server would have added.
func (g *Group) read(t *testing.T, file string) []testCase {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for i, doc := range strings.Split(string(text), "\n---\n") {
		name, _, _ := strings.Cut(strings.TrimSpace(doc), "\n")
		if !strings.HasPrefix(name, "#") {
			t.Fatalf("%s: document %d has no name", file, i)
		}
		obj, _, err := g.decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Fatalf("%s: document %d: %v", file, i, err)
		}
		g.scheme.Default(obj)
		if row := g.row(t, obj); obj.GetObjectKind().GroupVersionKind() != row.Kind && !isHub(row, obj) {
			hub := row.New()
			if err := g.scheme.Convert(obj, hub, nil); err != nil {
				t.Fatalf("%s: document %d: %v", file, i, err)
			}
			obj = hub
		}
		accessor, err := meta.Accessor(obj)
		if err != nil {
			t.Fatal(err)
		}
		row := g.row(t, obj)
		cases = append(cases, testCase{name: strings.TrimSpace(strings.TrimPrefix(name, "#")), object: obj})
		if row.NotStored {
			continue
		}
		if !row.ClusterScoped && accessor.GetNamespace() == "" {
			accessor.SetNamespace("default")
		}
		if accessor.GetUID() == "" {
			accessor.SetUID("11111111-2222-3333-4444-555555555555")
		}
		if accessor.GetResourceVersion() == "" {
			accessor.SetResourceVersion("1")
		}
	}
	return cases
}

func isHub(row resource.Resource, obj runtime.Object) bool {
	return fmt.Sprintf("%T", obj) == fmt.Sprintf("%T", row.New())
}

func (g *Group) row(t *testing.T, obj runtime.Object) resource.Resource {
	t.Helper()
	gvks, _, err := g.scheme.ObjectKinds(obj)
	if err != nil {
		t.Fatal(err)
	}
	row, ok := g.rows[gvks[0].Kind]
	if !ok {
		t.Fatalf("no row for %s", gvks[0])
	}
	return row
}

func report(out *bytes.Buffer, name string, errs field.ErrorList) {
	fmt.Fprintf(out, "# %s\n", name)
	if len(errs) == 0 {
		fmt.Fprintln(out, "valid")
	}
	for _, err := range errs {
		fmt.Fprintln(out, err.Error())
	}
}

func warn(out *bytes.Buffer, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(out, "Warning:", w)
	}
}

func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	golden := filepath.Join("testdata", file+".golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", golden, diff)
	}
}
