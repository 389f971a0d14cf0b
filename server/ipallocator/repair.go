package ipallocator

import (
	"context"
	"errors"
)

// Repairer finds items that were taken for something that was never written, or
// that something uses without having taken it.
type Repairer struct {
	pool *Pool
	// suspects are unused items of the last run, by the revision of their key.
	suspects map[string]int64
}

// NewRepairer returns a Repairer for the pool.
func NewRepairer(pool *Pool) *Repairer { return &Repairer{pool: pool} }

// Run compares the taken items with inUse (item to owner). It takes used items
// that nobody has, and gives back those that were unused in the last run already
// and have not changed hands: in between, their owner had time to be written.
// Items that two owners use are returned as an error.
func (r *Repairer) Run(ctx context.Context, inUse func(context.Context) (map[string]string, error)) error {
	taken, err := r.pool.keys.List(ctx)
	if err != nil {
		return err
	}
	// What is in use is read after what is taken, so that an item taken in between
	// is in neither.
	used, err := inUse(ctx)
	if err != nil {
		return err
	}
	var errs []error
	suspects := map[string]int64{}
	for _, t := range taken {
		if used[t.Item] == t.Owner {
			continue
		}
		if revision, again := r.suspects[t.Item]; again && revision == t.Revision {
			errs = append(errs, r.pool.keys.Delete(ctx, t.Item, t.Owner))
			continue
		}
		suspects[t.Item] = t.Revision
	}
	r.suspects = suspects
	for item, owner := range used {
		if r.pool.Has(item) {
			errs = append(errs, r.pool.Allocate(ctx, item, owner))
		}
	}
	return errors.Join(errs...)
}
