package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"argosy/workflow/spec"
)

// Objects keeps what workflows refer to: templates, schedules, config maps. An object is
// JSON under its kind, namespace and name; kinds of no namespace have "" for it.
type Objects struct{ conn *Conn }

// NewObjects makes the store of objects.
func NewObjects(c *Conn) *Objects { return &Objects{c} }

// Object is one of them.
type Object struct {
	Namespace, Name string
	// Version grows with every change of an object of the same kind and namespace.
	Version int64
	JSON    []byte
}

// Versions that a Put may ask for beside one that was read.
const (
	VersionNone int64 = 0  // the object must not exist
	VersionAny  int64 = -1 // the object must exist
)

// Put stores an object whose version is known, or VersionNone or VersionAny, and returns
// its new version. ErrExists, ErrNotFound and ErrConflict say what is not so.
func (o *Objects) Put(ctx context.Context, kind, namespace, name string, object []byte, version int64) (int64, error) {
	v, err := o.change(ctx, kind, namespace, name, object, version)
	if err != nil {
		return 0, fmt.Errorf("storing %s %s/%s: %w", kind, namespace, name, err)
	}
	return v, nil
}

// Delete removes an object: ErrNotFound.
func (o *Objects) Delete(ctx context.Context, kind, namespace, name string) error {
	_, err := o.Remove(ctx, kind, namespace, name)
	return err
}

// Remove is Delete, and returns the version from which on there is no such object.
func (o *Objects) Remove(ctx context.Context, kind, namespace, name string) (int64, error) {
	v, err := o.change(ctx, kind, namespace, name, nil, VersionAny)
	if err != nil {
		return 0, fmt.Errorf("deleting %s %s/%s: %w", kind, namespace, name, err)
	}
	return v, nil
}

func (o *Objects) change(ctx context.Context, kind, namespace, name string, object []byte, version int64) (int64, error) {
	objects, counter := objectsKey(kind, namespace)
	// The namespace first: a list must not miss what is stored.
	steps := []step{
		command("sadd", kindKey(kind), namespace),
		call(o.conn.scripts.object, []string{objects, counter}, name, object, version),
	}
	if kind == spec.KindCronWorkflow {
		// Before and after, so that it is looked at even if whoever changes it dies in between.
		steps = append([]step{o.conn.ringIn(CronID(namespace, name), submitGuardMillis)}, steps...)
		steps = append(steps, o.conn.ring(CronID(namespace, name)))
	}
	cmds, err := o.conn.inOrder(ctx, steps...)
	if err != nil {
		return 0, err
	}
	if kind == spec.KindCronWorkflow {
		cmds = cmds[1:]
	}
	switch v := asInt(cmds[1].Val()); {
	case v > 0:
		return v, nil
	case v == 0:
		return 0, ErrNotFound
	case version == VersionNone:
		return 0, ErrExists
	}
	return 0, ErrConflict
}

// Get reads an object: ErrNotFound.
func (o *Objects) Get(ctx context.Context, kind, namespace, name string) (*Object, error) {
	objects, _ := objectsKey(kind, namespace)
	text, err := o.conn.client.HGet(ctx, objects, name).Result()
	if errors.Is(err, redis.Nil) {
		err = ErrNotFound
	}
	var found *Object
	if err == nil {
		found, err = decodeObject(namespace, name, text)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s/%s: %w", kind, namespace, name, err)
	}
	return found, nil
}

// List reads the objects of a kind and namespace, by name.
func (o *Objects) List(ctx context.Context, kind, namespace string) ([]*Object, error) {
	objects, _ := objectsKey(kind, namespace)
	all, err := o.conn.client.HGetAll(ctx, objects).Result()
	if err != nil {
		return nil, fmt.Errorf("listing %s of %s: %w", kind, namespace, err)
	}
	list := make([]*Object, 0, len(all))
	for name, text := range all {
		object, err := decodeObject(namespace, name, text)
		if err != nil {
			return nil, fmt.Errorf("listing %s of %s: %w", kind, namespace, err)
		}
		list = append(list, object)
	}
	slices.SortFunc(list, func(a, b *Object) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Everywhere reads the objects of a kind in all namespaces, by namespace and name.
func (o *Objects) Everywhere(ctx context.Context, kind string) ([]*Object, error) {
	namespaces, err := o.conn.client.SMembers(ctx, kindKey(kind)).Result()
	if err != nil {
		return nil, fmt.Errorf("listing the namespaces of %s: %w", kind, err)
	}
	slices.Sort(namespaces)
	var all []*Object
	for _, ns := range namespaces {
		some, err := o.List(ctx, kind, ns)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func decodeObject(namespace, name, text string) (*Object, error) {
	version, object, _ := strings.Cut(text, "|")
	v, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: unexpected record: %w", name, err)
	}
	return &Object{Namespace: namespace, Name: name, Version: v, JSON: []byte(object)}, nil
}
