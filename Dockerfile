# The static programs, and nothing else: for the nodes of a Kubernetes cluster
# (deploy/kubernetes), or to be copied to a host or to another image.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t oci-timens .
#
# Both base images can be replaced; the first needs Go, a C compiler with a static
# C library, make and git, the second nothing at all.
ARG BUILD_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
ARG VERSION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build image-programs VERSION=${VERSION} && chmod 0555 bin/timens*

# Nothing in it is to be written to, by anybody.
FROM ${BASE_IMAGE}
COPY --from=build /src/bin/timens-hook /src/bin/timens-runc /src/bin/timensctl \
     /src/bin/timens-nri /src/bin/timens-install /
COPY --from=build /src/bin/third-party-licenses /
ENTRYPOINT ["/timensctl"]
CMD ["check"]
