# SPDX-License-Identifier: Apache-2.0
# One image for all roles; `docker run IMAGE writer`, `runtime` and so on. The runtime needs --privileged.
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc make musl-tools linux-libc-dev libc6-dev \
        pkg-config librdkafka-dev libsqlite3-dev libuv1-dev libjansson-dev libmicrohttpd-dev libhiredis-dev \
        libseccomp-dev libsodium-dev libarchive-dev uthash-dev
COPY . /src
WORKDIR /src
RUN make -j"$(nproc)"

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends librdkafka1 libsqlite3-0 libuv1 libjansson4 \
        libmicrohttpd12 libhiredis0.14 libseccomp2 libsodium23 libarchive13 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --home-dir /var/lib/wharf wharf
COPY --from=build /src/build/wharf /usr/bin/wharf
COPY --from=build /src/build/wharf-* /usr/libexec/wharf/
COPY --from=build /src/build/wharf.1 /usr/share/man/man1/wharf.1
VOLUME /var/lib/wharf /run/wharf
ENTRYPOINT ["/usr/bin/wharf"]
