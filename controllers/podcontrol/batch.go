package podcontrol

import "sync"

// SlowStart calls do n times, in concurrent batches of 1, 2, 4 ... calls, and
// stops after the first batch in which a call failed: a template that the server
// refuses costs one request, not thousands. It returns the number of calls that
// succeeded and the first error of the failed batch.
func SlowStart(n int, do func(i int) error) (int, error) {
	done := 0
	for size := 1; done < n; size *= 2 {
		batch := min(size, n-done)
		errs := make([]error, batch)
		var wg sync.WaitGroup
		for i := range batch {
			wg.Go(func() { errs[i] = do(done + i) })
		}
		wg.Wait()
		failed := 0
		var first error
		for _, err := range errs {
			if err != nil {
				failed++
				if first == nil {
					first = err
				}
			}
		}
		done += batch - failed
		if failed > 0 {
			return done, first
		}
	}
	return done, nil
}
