/** Knows which APIs are ready, as a load balancer does: by asking `/readyz` of each again and again. */

/** How often each is asked, in milliseconds. */
const ASK_EVERY_MS = 200;

export class LoadBalancer {
  readonly #ready: Map<string, boolean>;
  readonly #timer: NodeJS.Timeout;

  private constructor(urls: readonly string[]) {
    this.#ready = new Map(urls.map((url) => [url, false]));
    this.#timer = setInterval(() => void this.#ask(), ASK_EVERY_MS);
  }

  static async start(urls: readonly string[]): Promise<LoadBalancer> {
    const balancer = new LoadBalancer(urls);
    await balancer.#ask();
    return balancer;
  }

  /** Those that were ready when they were last asked. */
  get ready(): readonly string[] {
    return [...this.#ready].filter(([, isReady]) => isReady).map(([url]) => url);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    await Promise.all(
      [...this.#ready.keys()].map(async (url) => {
        const isReady = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1_000) }).then(
          ({ status }) => status === 200,
          () => false,
        );
        this.#ready.set(url, isReady);
      }),
    );
  }
}
