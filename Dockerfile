# SPDX-License-Identifier: MIT
# Redis, front and worker in one image, on port 9100:
#
#	docker build -t ufop .
#	docker run --rm -p 9100:9100 --shm-size=1g ufop
#
# That is the slim one.  The full one has Chromium and serves screenshots:
#
#	docker build -t ufop:full --target full .
#	docker run --rm -p 9100:9100 --shm-size=1g \
#		--security-opt seccomp=supervisor/seccomp.json ufop:full
#
# A project's own Dockerfile (`ufop dockerfile`) stands on either, under the
# names that `make image` and `make image-full` give them.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts scripts
RUN scripts/setup
COPY . .
RUN make -j"$(nproc)" BUILD=/build WERROR= all \
 && make BUILD=/build DESTDIR=/out install \
 && cd /out/usr/local \
 && rm -rf share/man lib/libufop.* \
 && strip --strip-unneeded bin/ufop lib/ufop/*.so lib/ufop/services/*.so

FROM debian:bookworm-slim AS slim
# Debian's kore package would bring compilers' headers along; its program needs
# no more than libpq5 and libssl3.  The service images says itself what it runs
# with.
COPY scripts/packages.images /tmp/
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
	ca-certificates \
	libcurl4 \
	libhiredis0.14 \
	libinih1 \
	libjansson4 \
	libjpeg62-turbo \
	libpcre2-8-0 \
	libpq5 \
	libseccomp2 \
	libssl3 \
	redis-server \
	supervisor \
	$(sed -n '/^# run/,$ s/^\([a-z0-9][a-z0-9.+-]*\).*/\1/p' /tmp/packages.images) \
 && rm -rf /tmp/packages.images /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt \
 && find /usr -name __pycache__ -prune -exec rm -rf {} + \
 && rm -rf /usr/bin/redis-benchmark /usr/share/info \
 && mkdir /app \
 && ln -sf /opt/ufop/supervisor/supervisord.conf /etc/supervisor/supervisord.conf
COPY --from=build /usr/bin/kore /usr/bin/kore
# With the header, for projects that are built on this image.
COPY --from=build /out/usr/local /usr/local
COPY supervisor/start supervisor/supervisord.conf /opt/ufop/supervisor/

# What supervisor/start would fill in, so that `docker exec ... ufop status` and
# `... supervisorctl status` find their way too.
ENV RUN_DIR=/run/ufop UFOP_DEFAULTS=/run/ufop/defaults.ini
# supervisord is compiled anew at each start: 16 MB less.
ENV PYTHONDONTWRITEBYTECODE=1
# A project of one's own (ufop.ini, app.so, script.sh, supervisor.conf) goes here.
WORKDIR /app
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s CMD ["ufop", "health"]
STOPSIGNAL SIGTERM
CMD ["/opt/ufop/supervisor/start"]

FROM slim AS full
COPY scripts/packages.screenshot /tmp/
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
	$(sed -n 's/^\([a-z0-9][a-z0-9.+-]*\).*/\1/p' /tmp/packages.screenshot) \
 && rm -rf /tmp/packages.screenshot /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt
# A file, not variables, which would win over what a project's own file says.
COPY supervisor/full.ini /app/ufop.ini

# The last one is what is built when none is named.
FROM slim
