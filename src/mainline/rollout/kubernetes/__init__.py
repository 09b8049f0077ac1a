"""Kubernetes: the plan of params.yaml as kustomize files for Argo Rollouts and Gateway API, and what holds them right."""
