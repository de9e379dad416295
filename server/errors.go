package server

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is a gRPC status code, which Argo's clients read from an error's body.
type Code int

// The codes that the server uses.
const (
	CodeInvalid         Code = 3  // 400
	CodeTimeout         Code = 4  // 504
	CodeNotFound        Code = 5  // 404
	CodeExists          Code = 6  // 409
	CodeForbidden       Code = 7  // 403
	CodeExhausted       Code = 8  // 429
	CodePrecondition    Code = 9  // 400
	CodeUnimplemented   Code = 12 // 501
	CodeInternal        Code = 13 // 500
	CodeUnavailable     Code = 14 // 503
	CodeUnauthenticated Code = 16 // 401
)

// HTTP is the status that goes with the code.
func (c Code) HTTP() int {
	switch c {
	case CodeInvalid, CodePrecondition:
		return http.StatusBadRequest
	case CodeTimeout:
		return http.StatusGatewayTimeout
	case CodeNotFound:
		return http.StatusNotFound
	case CodeExists:
		return http.StatusConflict
	case CodeForbidden:
		return http.StatusForbidden
	case CodeExhausted:
		return http.StatusTooManyRequests
	case CodeUnimplemented:
		return http.StatusNotImplemented
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	case CodeUnauthenticated:
		return http.StatusUnauthorized
	}
	return http.StatusInternalServerError
}

// Error is an answer other than success, as Argo's clients expect it.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Errors that a Store or Objects report; everything else it returns is trouble of ours.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
	ErrFinished = errors.New("has finished")
	ErrConflict = errors.New("has been changed meanwhile")
)

// asError gives any error the code that a client should see.
func asError(err error) *Error {
	var e *Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &tooLarge):
		return errorf(CodeInvalid, "the request is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, ErrNotFound):
		return &Error{Code: CodeNotFound, Message: err.Error()}
	case errors.Is(err, ErrExists):
		return &Error{Code: CodeExists, Message: err.Error()}
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}
