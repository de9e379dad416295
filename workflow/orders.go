package workflow

// Standing is what still has to be done of orders that are to be done one after the other, some of
// which may have been done before: what a later one gives back has been had, and must not be asked
// for anew.
func Standing(orders []*Orders) []*Orders {
	type lock struct {
		key  Key
		life int
	}
	freed, left := map[lock]bool{}, map[int]bool{} // by life
	standing := make([]*Orders, len(orders))
	for i := len(orders) - 1; i >= 0; i-- {
		o := *orders[i]
		o.Ops = make([]LockOp, 0, len(o.Ops))
		if o.Place != LockFree && left[o.Life] {
			o.Place = ""
		}
		left[o.Life] = left[o.Life] || o.Place == LockFree
		for _, op := range orders[i].Ops {
			if op.Do == LockFree || !freed[lock{op.Key, o.Life}] {
				o.Ops = append(o.Ops, op)
			}
		}
		for _, op := range orders[i].Ops {
			if op.Do == LockFree {
				freed[lock{op.Key, o.Life}] = true
			}
		}
		standing[i] = &o
	}
	return standing
}
