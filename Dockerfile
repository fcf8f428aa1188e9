# The static programs, to be copied to a host or to another image:
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
RUN make build VERSION=${VERSION}

FROM ${BASE_IMAGE}
COPY --from=build /src/bin/timens-hook /src/bin/timens-runc /src/bin/timensctl /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/timensctl"]
CMD ["check"]
