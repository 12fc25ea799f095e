# One image for every role: docker run IMAGE serve|api|worker|migrate

# The current LTS. Slim rather than Alpine: Node's own builds, tested against glibc.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
# The lock file by itself first: this layer is made anew only when a dependency changes.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

# Optional dependencies stay out with the development ones: they are the embedded Postgres, which a container
# has a neighbour for, and native code that msgpackr does without.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    INLET_WORKER_PORT=8081 \
    INLET_DATA_DIR=/var/lib/inlet
# The only place that is ever written to, and only by `serve` when it makes itself an API key.
RUN install -d -o node -g node -m 700 /var/lib/inlet
WORKDIR /app
# All of it belongs to root, so the process can't change its own code.
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY migrations migrations
COPY package.json LICENSE ./
USER node
EXPOSE 8080 8081
# The API answers at one port, a worker at the other. Node asks, because the image has no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD node -e ' \
    const { PORT, INLET_WORKER_PORT } = process.env; \
    const ask = async (port) => { \
      const { ok } = await fetch(`http://127.0.0.1:${port}/healthz`); \
      if (!ok) throw new Error(`port ${port}`); \
    }; \
    Promise.any([ask(PORT), ask(INLET_WORKER_PORT)]).then(() => process.exit(0), () => process.exit(1));'
# Without a shell or npm in between, so that signals reach Inlet.
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["serve"]
