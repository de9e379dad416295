package queue

import (
	"fmt"
	"regexp"
	"strings"
)

// Class ranks the deliveries of a pool: a worker takes one of a higher class first. A
// delivery keeps its class when it is sent anew.
type Class string

// The classes, from the highest to the lowest. Each is an asynq queue: POOL.high, POOL,
// POOL.bulk.
const (
	ClassHigh   Class = "high"
	ClassNormal Class = ""
	ClassBulk   Class = "bulk"
)

// Classes returns the classes, from the highest to the lowest.
func Classes() []Class { return []Class{ClassHigh, ClassNormal, ClassBulk} }

// queueOf is the asynq queue of a pool's class.
func queueOf(pool string, c Class) string {
	if c == ClassNormal {
		return pool
	}
	return pool + "." + string(c)
}

// queuesOf are the asynq queues of a pool, in the order of their classes.
func queuesOf(pool string) []string {
	var queues []string
	for _, c := range Classes() {
		queues = append(queues, queueOf(pool, c))
	}
	return queues
}

func splitQueue(queue string) (pool string, c Class) {
	pool, class, _ := strings.Cut(queue, ".")
	return pool, Class(class)
}

// CheckPool says what is wrong with the name of a pool. It is a part of keys and of the
// names of queues.
func CheckPool(name string) error {
	if ok, _ := regexp.MatchString(`^[A-Za-z0-9]([-_A-Za-z0-9]{0,61}[A-Za-z0-9])?$`, name); !ok {
		return fmt.Errorf("%q cannot be a pool: use letters, digits, - and _, at most 63 of them", name)
	}
	return nil
}
