package runtime

import "errors"

// The kinds of errors that callers tell apart. Implementations wrap them; use
// the Is functions.
var (
	errNotFound      = errors.New("not found")
	errNotRunning    = errors.New("not running")
	errTimeout       = errors.New("timed out")
	errUnreachable   = errors.New("unreachable")
	errUnauthorized  = errors.New("unauthorized")
	errInvalid       = errors.New("invalid configuration")
	errImageNotFound = errors.New("image not found")
)

// kindError is an error of a kind with the engine's own text.
type kindError struct {
	kind error
	err  error
}

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

func newKind(kind, err error) error {
	if err == nil {
		return nil
	}
	return &kindError{kind: kind, err: err}
}

// NotFound marks err: the container, sandbox or image does not exist.
func NotFound(err error) error { return newKind(errNotFound, err) }

// IsNotFound reports whether the thing does not exist.
func IsNotFound(err error) bool { return errors.Is(err, errNotFound) }

// NotRunning marks err: the container does not run.
func NotRunning(err error) error { return newKind(errNotRunning, err) }

// IsNotRunning reports whether the container does not run.
func IsNotRunning(err error) bool { return errors.Is(err, errNotRunning) }

// Timeout marks err: a command took longer than allowed.
func Timeout(err error) error { return newKind(errTimeout, err) }

// IsTimeout reports whether a command took longer than allowed.
func IsTimeout(err error) bool { return errors.Is(err, errTimeout) }

// Unreachable marks err: a registry does not answer.
func Unreachable(err error) error { return newKind(errUnreachable, err) }

// IsUnreachable reports whether a registry does not answer.
func IsUnreachable(err error) bool { return errors.Is(err, errUnreachable) }

// Unauthorized marks err: a registry refuses the credentials.
func Unauthorized(err error) error { return newKind(errUnauthorized, err) }

// IsUnauthorized reports whether a registry refuses the credentials.
func IsUnauthorized(err error) bool { return errors.Is(err, errUnauthorized) }

// Invalid marks err: the configuration can never be run as it is.
func Invalid(err error) error { return newKind(errInvalid, err) }

// IsInvalid reports whether the configuration can never be run as it is.
func IsInvalid(err error) bool { return errors.Is(err, errInvalid) }

// ImageNotFound marks err: the image of a container is not here (any more).
func ImageNotFound(err error) error { return newKind(errImageNotFound, err) }

// IsImageNotFound reports whether the image of a container is not here.
func IsImageNotFound(err error) bool { return errors.Is(err, errImageNotFound) }
