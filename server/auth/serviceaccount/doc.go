// Package serviceaccount issues and verifies the tokens of service accounts:
// signed JWTs whose claims bind them to a ServiceAccount and, optionally, to a
// pod, secret or node (KEP-1205, KEP-4193).
//
// # Model
//
// A KeySet holds the keys: one that signs, any number that verify. An Issuer
// answers TokenRequests (serviceaccounts/token): it checks the request against
// the living objects and signs. An Authenticator does the way back: signature,
// issuer, times, audience, and then the living objects again, so that a token
// dies with its pod. A Discovery serves the OpenID documents by which others
// verify such tokens.
//
// # Traps
//
// Objects are looked up by a Getter that may lag behind etcd by a watch event;
// it must ask again, live, before it says that something does not exist.
// Tokens without audience are legacy tokens, kept in Secrets; they are valid
// only while the very Secret holds the very token.
package serviceaccount
