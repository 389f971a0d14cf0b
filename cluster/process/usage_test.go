package process

import (
	"os"
	"syscall"
	"testing"
	"time"
)

var newGroup = &syscall.SysProcAttr{Setpgid: true}

func TestParseCPU(t *testing.T) {
	for name, test := range map[string]struct {
		stat string
		want time.Duration
		bad  bool
	}{
		"plain":                     {stat: "1 (skiff) S 1 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5", want: 2 * time.Second},
		"parentheses in the name":   {stat: "1 (a) b (c) S 1 1 1 0 -1 4194560 1 2 3 4 100 0 0 0 20 0 1 0 5", want: time.Second},
		"cut off":                   {stat: "1 (skiff) S 1 1", bad: true},
		"no name":                   {stat: "1 skiff S", bad: true},
		"not a number where it was": {stat: "1 (skiff) S 1 1 1 0 -1 4194560 1 2 3 4 x 50 0", bad: true},
	} {
		got, err := parseCPU([]byte(test.stat))
		if got != test.want || (err != nil) != test.bad {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestParseRSS(t *testing.T) {
	if got, err := parseRSS([]byte("Name:\tskiff\nVmRSS:\t   2048 kB\n")); got != 2<<20 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parseRSS([]byte("Name:\tkthreadd\n")); err == nil {
		t.Error("a status without VmRSS was accepted")
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	usage, err := UsageOf(os.Getpid())
	if err != nil || usage.RSS < 1<<20 {
		t.Errorf("got %+v, %v", usage, err)
	}
}
