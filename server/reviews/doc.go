// Package reviews serves the kinds that are questions to the API server, asked by
// creating them and never stored: who is this token (TokenReview), who am I
// (SelfSubjectReview), may somebody do this (the SubjectAccessReviews), and what
// may I do (SelfSubjectRulesReview).
package reviews
