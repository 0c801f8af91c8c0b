# syntax=docker/dockerfile:1
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
RUN npm ci --ignore-scripts
COPY src ./src
COPY bin ./bin
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:22-bookworm-slim
# git and ssh read repositories; gnupg and openssh-client judge signed commits; redis-server is the embedded default when no
# redis.url is configured; virsh and xorriso are for libvirt hosts, which are remote from here.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git gnupg libvirt-clients openssh-client redis-server xorriso \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
COPY bin ./bin
COPY config ./config
RUN ln -s /app/bin/kraken-gitops.js /usr/local/bin/kraken-gitops \
 && mkdir -p /var/lib/kraken-gitops \
 && chown node:node /var/lib/kraken-gitops
USER node
ENV NODE_ENV=production KRAKEN_GITOPS_CONFIG=/etc/kraken-gitops/config.yaml KRAKEN_GITOPS_DATA_DIR=/var/lib/kraken-gitops
VOLUME /var/lib/kraken-gitops
# Node as PID 1 handles SIGTERM itself: operations under way may finish.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/bin/kraken-gitops.js"]
CMD ["run"]
