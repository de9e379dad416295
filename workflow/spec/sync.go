package spec

import corev1 "k8s.io/api/core/v1"

// Synchronization lists the locks that a run or node must hold.
type Synchronization struct {
	Semaphores []*SemaphoreRef `json:"semaphores,omitempty"`
	Mutexes    []*Mutex        `json:"mutexes,omitempty"`
}

// SemaphoreRef names a semaphore and where its limit is written.
type SemaphoreRef struct {
	ConfigMapKeyRef *corev1.ConfigMapKeySelector `json:"configMapKeyRef,omitempty"`
	Namespace       string                       `json:"namespace,omitempty"`
	Database        *SyncDatabaseRef             `json:"database,omitempty"`
}

// SyncDatabaseRef names a limit kept in the database.
type SyncDatabaseRef struct {
	Key string `json:"key"`
}

// Mutex names a lock with one holder.
type Mutex struct {
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Database  bool   `json:"database,omitempty"`
}

// SynchronizationStatus is the locks that a run holds and waits for.
type SynchronizationStatus struct {
	Semaphore *SemaphoreStatus `json:"semaphore,omitempty"`
	Mutex     *MutexStatus     `json:"mutex,omitempty"`
}

// SemaphoreStatus is a run's semaphores.
type SemaphoreStatus struct {
	Holding []SemaphoreHolding `json:"holding,omitempty"`
	Waiting []SemaphoreHolding `json:"waiting,omitempty"`
}

// SemaphoreHolding is one semaphore and its holders.
type SemaphoreHolding struct {
	Semaphore string   `json:"semaphore,omitempty"`
	Holders   []string `json:"holders,omitempty"`
}

// MutexStatus is a run's mutexes.
type MutexStatus struct {
	Holding []MutexHolding `json:"holding,omitempty"`
	Waiting []MutexHolding `json:"waiting,omitempty"`
}

// MutexHolding is one mutex and its holder.
type MutexHolding struct {
	Mutex  string `json:"mutex,omitempty"`
	Holder string `json:"holder,omitempty"`
}

// NodeSynchronizationStatus is the lock that a node waits for.
type NodeSynchronizationStatus struct {
	Waiting string `json:"waiting,omitempty"`
}

// Memoize keeps a template's outputs for later runs.
type Memoize struct {
	Key    string `json:"key"`
	Cache  *Cache `json:"cache"`
	MaxAge string `json:"maxAge"`
}

// Cache is where memoized outputs are kept.
type Cache struct {
	ConfigMap *corev1.ConfigMapKeySelector `json:"configMap"`
}

// MemoizationStatus says what a node found in the cache.
type MemoizationStatus struct {
	Hit       bool   `json:"hit"`
	Key       string `json:"key"`
	CacheName string `json:"cacheName"`
}
