package env

import "strings"

// Expand replaces $(NAME) by what lookup returns. $$ is a dollar sign that
// starts no reference; a reference to a name that lookup does not know, and
// everything that only looks like one, stays as it is.
func Expand(input string, lookup func(name string) (string, bool)) string {
	if !strings.Contains(input, "$") {
		return input
	}
	var out strings.Builder
	for {
		i := strings.IndexByte(input, '$')
		if i < 0 || i == len(input)-1 {
			out.WriteString(input)
			return out.String()
		}
		out.WriteString(input[:i])
		rest := input[i+1:]
		switch rest[0] {
		case '$':
			out.WriteByte('$')
			input = rest[1:]
		case '(':
			end := strings.IndexByte(rest, ')')
			if end < 0 {
				out.WriteString("$(")
				input = rest[1:]
				continue
			}
			if value, ok := lookup(rest[1:end]); ok {
				out.WriteString(value)
			} else {
				out.WriteString("$" + rest[:end+1])
			}
			input = rest[end+1:]
		default:
			out.WriteByte('$')
			input = rest
		}
	}
}

// ExpandAll expands each string, with the variables that the container gets.
func ExpandAll(inputs []string, variables []Var) []string {
	if inputs == nil {
		return nil
	}
	lookup := Lookup(variables)
	out := make([]string, len(inputs))
	for i, input := range inputs {
		out[i] = Expand(input, lookup)
	}
	return out
}

// Lookup returns a function that finds a variable's value.
func Lookup(variables []Var) func(string) (string, bool) {
	values := make(map[string]string, len(variables))
	for _, v := range variables {
		values[v.Name] = v.Value
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}
