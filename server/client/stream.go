package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"argosy/workflow/spec"
)

// Event is a change of a run: ADDED, MODIFIED or DELETED.
type Event struct {
	Type   string         `json:"type"`
	Object *spec.Workflow `json:"object"`
}

// Watch calls receive for the state of the runs that match and for every change, until the
// server ends the stream, which is no error, or receive returns one.
func (c *Client) Watch(ctx context.Context, namespace string, o ListOptions, receive func(Event) error) error {
	return stream(ctx, c, path("workflow-events", namespace), o.query(), receive)
}

// ErrDone ends a watch from within receive.
var ErrDone = errors.New("done")

// Backoff of Follow's reconnections.
const (
	reconnectFirst = 200 * time.Millisecond
	reconnectMost  = 5 * time.Second
	reconnectTries = 8
)

// Follow calls receive with every state of one run until it has ended. A stream that breaks
// is taken up again, since a state is complete in itself.
func (c *Client) Follow(ctx context.Context, namespace, name string, receive func(*spec.Workflow) error) error {
	tries, wait := 0, reconnectFirst
	for {
		err := c.Watch(ctx, namespace, ListOptions{FieldSelector: "metadata.name=" + name}, func(e Event) error {
			tries, wait = 0, reconnectFirst
			if e.Type == "DELETED" {
				return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Message: fmt.Sprintf("workflow %q was deleted", name)}
			}
			if err := receive(e.Object); err != nil {
				return err
			}
			if e.Object.Status.Phase.Completed() {
				return ErrDone
			}
			return nil
		})
		switch {
		case errors.Is(err, ErrDone):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!errors.Is(err, ErrUnreachable) || tries == reconnectTries):
			return err
		}
		tries++
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(wait*2, reconnectMost)
	}
}

// LogOptions choose what of a run's logs to read.
type LogOptions struct {
	PodName, Container, Grep string
	Follow, Timestamps       bool
	Tail                     int // negative: all
	Since                    time.Duration
	SinceTime                time.Time
}

// LogLine is a line of a pod's log.
type LogLine struct {
	Content string `json:"content"`
	PodName string `json:"podName"`
}

// Logs calls receive for every line until there are no more.
func (c *Client) Logs(ctx context.Context, namespace, name string, o LogOptions, receive func(LogLine) error) error {
	q := url.Values{}
	for key, value := range map[string]string{"podName": o.PodName, "logOptions.container": o.Container, "grep": o.Grep} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if o.Follow {
		q.Set("logOptions.follow", "true")
	}
	if o.Timestamps {
		q.Set("logOptions.timestamps", "true")
	}
	if o.Tail >= 0 {
		q.Set("logOptions.tailLines", strconv.Itoa(o.Tail))
	}
	if o.Since > 0 {
		q.Set("logOptions.sinceSeconds", strconv.Itoa(int(o.Since.Seconds())))
	}
	if !o.SinceTime.IsZero() {
		q.Set("logOptions.sinceTime", o.SinceTime.UTC().Format(time.RFC3339))
	}
	return stream(ctx, c, path("workflows", namespace, name, "log"), q, receive)
}

// stream reads server-sent events; Argo's servers put all that counts into data lines.
func stream[T any](ctx context.Context, c *Client, path string, query url.Values, receive func(T) error) error {
	res, err := c.send(ctx, http.MethodGet, path, query, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && err == nil {
			if err := deliver(data, receive); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err != nil {
			return c.trouble(ctx, fmt.Errorf("reading the stream: %w", err))
		}
	}
}

func deliver[T any](data []byte, receive func(T) error) error {
	var frame struct {
		Result *T `json:"result"`
		Error  *struct {
			Code    int    `json:"grpc_code"`
			Status  int    `json:"http_code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &frame); err != nil {
		return fmt.Errorf("decoding a stream item: %w", err)
	}
	if e := frame.Error; e != nil {
		return &Error{Status: e.Status, Code: e.Code, Message: e.Message}
	}
	if frame.Result == nil {
		return nil
	}
	return receive(*frame.Result)
}
