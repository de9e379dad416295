package workflow

import (
	"maps"
	"slices"

	"argosy/workflow/spec"
)

// synchronization renders the locks that the run and its nodes have and wait for; nil: none.
func synchronization(v *View) *spec.SynchronizationStatus {
	if v.State.Locks == 0 || v.State.Finished != 0 {
		return nil
	}
	status := &spec.SynchronizationStatus{}
	holder := v.Run.Namespace + "/" + v.Run.Name
	if l := v.State.Lock; l != nil {
		addLocks(status, l, holder, !l.Held)
	}
	for _, k := range slices.Sorted(maps.Keys(v.Nodes)) {
		if n := v.Nodes[k]; n != nil && n.Lock != nil {
			addLocks(status, n.Lock, holder+"/"+k.ID(v.Run.Name), n.Held == heldLock)
		}
	}
	if status.Mutex == nil && status.Semaphore == nil {
		return nil // it has a place alone
	}
	return status
}

// addLocks adds what a holder has, or waits for, with those who have it.
func addLocks(status *spec.SynchronizationStatus, l *LockState, holder string, waits bool) {
	for i := range l.Locks {
		lock := &l.Locks[i]
		holders := []string{holder}
		if waits {
			holders = lock.Holders
		}
		if lock.Mutex {
			if status.Mutex == nil {
				status.Mutex = &spec.MutexStatus{}
			}
			list := &status.Mutex.Holding
			if waits {
				list = &status.Mutex.Waiting
			}
			entry := spec.MutexHolding{Mutex: lock.Name}
			if len(holders) > 0 {
				entry.Holder = holders[0]
			}
			if !slices.Contains(*list, entry) {
				*list = append(*list, entry)
			}
			continue
		}
		if status.Semaphore == nil {
			status.Semaphore = &spec.SemaphoreStatus{}
		}
		list := &status.Semaphore.Holding
		if waits {
			list = &status.Semaphore.Waiting
		}
		at := slices.IndexFunc(*list, func(h spec.SemaphoreHolding) bool { return h.Semaphore == lock.Name })
		switch {
		case at < 0:
			*list = append(*list, spec.SemaphoreHolding{Semaphore: lock.Name, Holders: slices.Clone(holders)})
		case !waits:
			(*list)[at].Holders = append((*list)[at].Holders, holder)
		}
	}
}
