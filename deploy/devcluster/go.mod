module argosy/deploy/devcluster

go 1.26.0
