package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"argosy/workflow"
)

// Labels that say who made something, and who did what to it last.
const (
	labelCreator      = "workflows.argoproj.io/creator"
	labelCreatorEmail = "workflows.argoproj.io/creator-email"
	labelCreatorUser  = "workflows.argoproj.io/creator-preferred-username"
	labelActor        = "workflows.argoproj.io/actor"
	labelActorEmail   = "workflows.argoproj.io/actor-email"
	labelActorUser    = "workflows.argoproj.io/actor-preferred-username"
	labelAction       = "workflows.argoproj.io/action"
)

// What somebody did, as Argo calls it.
const (
	actionUpdate    = "Update"
	actionSuspend   = "Suspend"
	actionResume    = "Resume"
	actionStop      = "Stop"
	actionTerminate = "Terminate"
)

// User is somebody whom a token is given to, as far as that is known.
type User struct {
	Name     string
	Email    string
	Username string // that the user prefers
}

// Token is a bearer token and whose it is.
type Token struct {
	Secret string
	User   User
}

// parseToken reads a line of a token file: a token and, after it, whose it is.
func parseToken(line string) (Token, error) {
	fields := strings.Fields(line)
	t := Token{Secret: fields[0]}
	for _, f := range fields[1:] {
		name, value, ok := strings.Cut(f, "=")
		switch {
		case ok && name == "name":
			t.User.Name = value
		case ok && name == "email":
			t.User.Email = value
		case ok && name == "username":
			t.User.Username = value
		default:
			return Token{}, errors.New("after a token there may be name=, email= and username= of whose it is, and nothing else")
		}
	}
	if t.User != (User{}) && t.User.Name == "" {
		return Token{}, fmt.Errorf("a token with %s needs the name= of whose it is, too", strings.Join(fields[1:], " "))
	}
	return t, nil
}

type userKey struct{}

// withUser is a context of what somebody asks for.
func withUser(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// userOf is who asks; not asked: nobody does, it is the fleet's own doing.
func userOf(ctx context.Context) (u User, asked bool) {
	u, asked = ctx.Value(userKey{}).(User)
	return u, asked
}

// creates returns labels with those of who makes something. Whoever is not known cannot pretend
// to be anybody.
func creates(ctx context.Context, labels map[string]string) map[string]string {
	u, asked := userOf(ctx)
	if !asked {
		return labels
	}
	out := maps.Clone(labels)
	for _, l := range []string{labelCreator, labelCreatorEmail, labelCreatorUser} {
		delete(out, l)
	}
	own := u.labels(labelCreator, labelCreatorEmail, labelCreatorUser)
	if out == nil {
		return own
	}
	maps.Copy(out, own)
	return out
}

// does are the labels of who does something, nil if that is not known.
func does(ctx context.Context, action string) map[string]string {
	u, _ := userOf(ctx)
	own := u.labels(labelActor, labelActorEmail, labelActorUser)
	if own != nil {
		own[labelAction] = action
	}
	return own
}

// by adds who asks to an event.
func by(ctx context.Context, action string, e workflow.Event) workflow.Event {
	e.By = does(ctx, action)
	return e
}

func (u User) labels(name, email, username string) map[string]string {
	if u.Name == "" {
		return nil
	}
	out := map[string]string{name: labelValue(u.Name)}
	if u.Email != "" {
		out[email] = labelValue(strings.ReplaceAll(u.Email, "@", ".at."))
	}
	if u.Username != "" {
		out[username] = labelValue(u.Username)
	}
	return out
}

// maxLabel is how long a label's value may be.
const maxLabel = 63

// labelValue is the end of a text, as a label may have it.
func labelValue(text string) string {
	text = regexp.MustCompile("[^-_.a-z0-9A-Z]").ReplaceAllString(text, "-")
	return strings.Trim(text[max(0, len(text)-maxLabel):], "-_.")
}

// userInfo is what clients are told of themselves.
type userInfo struct {
	Subject string `json:"subject,omitempty"`
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
}

func (u User) info() userInfo { return userInfo{Subject: u.Name, Name: u.Name, Email: u.Email} }
