// Package inprocess lets components of the same process talk to the API server
// without a socket.
//
// # Model
//
// Transport is an http.RoundTripper that calls the server's handler. The whole
// handler chain runs as for a request from outside: authentication by a random
// token that only this process knows, authorization, admission, audit.
// Identities holds those tokens and is the authenticator for them.
//
// # Traps
//
// The request that reaches the handler must not carry the caller's context
// values: a handler that calls back into the server (admission does) would leak
// its own request's user and audit event into the nested one. Only the
// cancellation is passed on.
package inprocess
