package server

import (
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilopenapi "k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/skiff-project/skiff/apis/scheme"
	"github.com/skiff-project/skiff/generated/openapi"
)

// applyOpenAPI describes the served types. They are named by the external scheme,
// so that __internal versions do not show.
func applyOpenAPI(cfg *genericapiserver.Config, security *spec.SecurityDefinitions) {
	definitions := utilopenapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(openapi.GetOpenAPIDefinitions)
	namer := openapinamer.NewDefinitionNamer(scheme.External)
	cfg.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	cfg.OpenAPIConfig.Info.Title = "Kubernetes"
	cfg.OpenAPIConfig.SecurityDefinitions = security
	cfg.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	cfg.OpenAPIV3Config.Info.Title = "Kubernetes"
}
