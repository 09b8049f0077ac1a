"""Kubernetes: the plan of params.yaml as files for Argo Rollouts and Gateway API, and checks of them."""
