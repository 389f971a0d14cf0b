package registry

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/skiff-project/skiff/apis/resource"
)

// tableConvertor prints objects as the rows of meta.k8s.io/v1 Table.
type tableConvertor struct {
	columns    []resource.Column
	headers    []metav1.TableColumnDefinition
	conditions func(runtime.Object) []metav1.TableRowCondition
}

// newTableConvertor returns the convertor of a row. A row that declares a Name
// column lays out its whole table; the others get Name as the first column and
// Age as the last one of the narrow table.
func newTableConvertor(row resource.Resource) rest.TableConvertor {
	columns := withNameAndAge(row.Columns)
	headers := make([]metav1.TableColumnDefinition, 0, len(columns))
	for _, c := range columns {
		header := metav1.TableColumnDefinition{Name: c.Name, Type: c.Type, Format: c.Format, Description: c.Description}
		if c.Wide {
			header.Priority = 1
		}
		headers = append(headers, header)
	}
	return &tableConvertor{columns: columns, headers: headers, conditions: row.RowConditions}
}

func withNameAndAge(columns []resource.Column) []resource.Column {
	named := func(name string) func(resource.Column) bool {
		return func(c resource.Column) bool { return c.Name == name }
	}
	if slices.ContainsFunc(columns, named("Name")) {
		return columns
	}
	docs := metav1.ObjectMeta{}.SwaggerDoc()
	out := append([]resource.Column{{
		Name: "Name", Type: "string", Format: "name", Description: docs["name"],
		Value: func(obj runtime.Object) any { return accessorOf(obj).GetName() },
	}}, columns...)
	if slices.ContainsFunc(columns, named("Age")) {
		return out
	}
	wide := slices.IndexFunc(out, func(c resource.Column) bool { return c.Wide })
	if wide < 0 {
		wide = len(out)
	}
	return slices.Insert(out, wide, resource.Column{
		Name: "Age", Type: "string", Description: docs["creationTimestamp"],
		Value: func(obj runtime.Object) any { return age(accessorOf(obj).GetCreationTimestamp()) },
	})
}

func age(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}

// ConvertToTable implements rest.TableConvertor.
func (c *tableConvertor) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		table.ColumnDefinitions = c.headers
	}
	if list, err := meta.ListAccessor(obj); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else {
		table.ResourceVersion = accessorOf(obj).GetResourceVersion()
	}
	rows, err := metatable.MetaToTableRow(obj, c.cells)
	if err != nil {
		return nil, err
	}
	if c.conditions != nil {
		for i := range rows {
			rows[i].Conditions = c.conditions(rows[i].Object.Object)
		}
	}
	table.Rows = rows
	return table, nil
}

func (c *tableConvertor) cells(obj runtime.Object, _ metav1.Object, _, _ string) ([]any, error) {
	cells := make([]any, 0, len(c.columns))
	for _, column := range c.columns {
		cells = append(cells, column.Value(obj))
	}
	return cells, nil
}
