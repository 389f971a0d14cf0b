package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	maxNameservers   = 3
	maxSearchPaths   = 32
	maxSearchLetters = 2048
)

func checkDNS(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := rules.RequiredEnum(spec.DNSPolicy, path.Child("dnsPolicy"),
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)
	at, config := path.Child("dnsConfig"), spec.DNSConfig
	if config == nil {
		if spec.DNSPolicy == corev1.DNSNone {
			errs = append(errs, field.Required(at, fmt.Sprintf("must provide `dnsConfig` when `dnsPolicy` is %s", corev1.DNSNone)))
		}
		return errs
	}
	if spec.DNSPolicy == corev1.DNSNone && len(config.Nameservers) == 0 {
		errs = append(errs, field.Required(at.Child("nameservers"),
			fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone)))
	}
	if len(config.Nameservers) > maxNameservers {
		errs = append(errs, field.Invalid(at.Child("nameservers"), config.Nameservers,
			fmt.Sprintf("must not have more than %d nameservers", maxNameservers)))
	}
	for i, server := range config.Nameservers {
		errs = append(errs, validation.IsValidIP(at.Child("nameservers").Index(i), server)...)
	}
	errs = append(errs, checkSearchPaths(config.Searches, at.Child("searches"))...)
	for i, option := range config.Options {
		if option.Name == "" {
			errs = append(errs, field.Required(at.Child("options").Index(i), "must not be empty"))
		}
	}
	return errs
}

// checkSearchPaths accepts what resolvers do: also names with underscores, and a
// single dot (KEP-4427).
func checkSearchPaths(searches []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(searches) > maxSearchPaths {
		errs = append(errs, field.Invalid(path, searches, fmt.Sprintf("must not have more than %d search paths", maxSearchPaths)))
	}
	if len(strings.Join(searches, " ")) > maxSearchLetters {
		errs = append(errs, field.Invalid(path, searches,
			fmt.Sprintf("must not have more than %d characters (including spaces) in the search list", maxSearchLetters)))
	}
	for i, search := range searches {
		if search != "." {
			name := strings.TrimSuffix(search, ".")
			errs = append(errs, rules.Invalid(path.Index(i), name, validation.IsDNS1123SubdomainWithUnderscore(name)...)...)
		}
	}
	return errs
}

func checkHostAliases(aliases []corev1.HostAlias, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, alias := range aliases {
		errs = append(errs, validation.IsValidIP(path.Index(i).Child("ip"), alias.IP)...)
		for j, name := range alias.Hostnames {
			errs = append(errs, rules.DNSSubdomain(name, path.Index(i).Child("hostnames").Index(j))...)
		}
	}
	return errs
}
