// Package podcontrol holds what every controller of pods needs: which objects a
// controller owns, may adopt or must release; which pods to delete first; how to
// create many without hammering a server that refuses them; and a memory of the
// writes that the cache does not show yet.
//
// # Model
//
// Decisions (Classify, Victims, Active ...) are pure functions over API objects.
// Pending is the only state: per owner it remembers the newest resourceVersion
// written and the pods deleted, so that a controller whose cache lags behind its
// own writes creates no surplus pod and deletes no pod twice.
//
// # Traps
//
// Objects that come from the shared cache are not copied: never change them.
package podcontrol
