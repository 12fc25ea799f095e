/** The hooks of exchange.mjs: Node runs them in a thread of their own. */
const standIns = new Map();

export function initialize(data) {
  for (const [module, url] of Object.entries(data.standIns)) standIns.set(`/dist/${module}`, url);
}

export async function resolve(specifier, context, nextResolve) {
  const resolved = await nextResolve(specifier, context);
  for (const [ending, url] of standIns) {
    // The stand-in itself gets the real one.
    if (resolved.url.endsWith(ending) && context.parentURL !== url) return { ...resolved, url };
  }
  return resolved;
}
