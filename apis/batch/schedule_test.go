package batch

import (
	"testing"
	"time"
)

func FuzzParseSchedule(f *testing.F) {
	for _, seed := range []string{"* * * * *", "@daily", "TZ=UTC 0 * * * *", "TZ=", "CRON_TZ=UTC", "@every 1h", "0-5/2 1,2 * JAN MON", "TZ=a "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		schedule, err := ParseSchedule(text)
		if err != nil {
			return
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if next := schedule.Next(now); !next.IsZero() && !next.After(now) {
			t.Errorf("after %q comes %v, which is not later than %v", text, next, now)
		}
	})
}

func FuzzCountIndexes(f *testing.F) {
	for _, seed := range []string{"", "1", "1,3-5", "5-3", ",", "-", "1-", "0-2147483646"} {
		f.Add(seed, int32(10))
	}
	f.Fuzz(func(t *testing.T, text string, limit int32) {
		n, err := countIndexes(text, limit)
		if err == nil && (n < 0 || n > max(limit, 0)) {
			t.Errorf("%q holds %d indexes below %d", text, n, limit)
		}
	})
}
