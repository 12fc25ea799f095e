/** Where metrics are registered, and read in Prometheus's text format. Nothing of it is global. */
import type { Observable } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { Labels } from './histogram.ts';
import { Histogram, HistogramProducer } from './histogram.ts';

/** What is read of a counter or gauge: a number, several with labels, or nothing where it isn't known. */
type Reading = number | undefined | readonly (readonly [value: number, labels: Labels])[];

/** Counters and gauges are read when somebody asks: what they cost otherwise is a plain number being kept. */
export interface Registry {
  counter(name: string, help: string, read: () => Reading): void;
  gauge(name: string, help: string, read: () => Reading): void;
  histogram(name: string, help: string, bounds: readonly number[]): Histogram;
  /** All of them in Prometheus's text format. */
  text(): Promise<string>;
  /** Stops measuring. */
  close(): Promise<void>;
}

/** Makes a registry that has the metrics of the process itself. */
export function createRegistry(): Registry {
  const producer = new HistogramProducer();
  // As a reader alone: it is the API, or the worker's own port, that answers.
  const reader = new PrometheusExporter({ preventServerStart: true, metricProducers: [producer] });
  const provider = new MeterProvider({ readers: [reader] });
  const serializer = new PrometheusSerializer('', false, undefined, true, true);
  const meter = provider.getMeter('inlet');
  const runtime = new RuntimeNodeInstrumentation();
  runtime.setMeterProvider(provider);

  const registry: Registry = {
    counter: (name, help, read) => observe(meter.createObservableCounter(name, { description: help }), read),
    gauge: (name, help, read) => observe(meter.createObservableGauge(name, { description: help }), read),
    histogram: (name, help, bounds) => producer.add(new Histogram(name, help, bounds)),
    text: async () => serializer.serialize((await reader.collect()).resourceMetrics),
    async close() {
      runtime.disable();
      await provider.shutdown();
    },
  };
  measureProcess(registry);
  return registry;
}

function observe(observable: Observable, read: () => Reading): void {
  observable.addCallback((result) => {
    const reading = read();
    if (typeof reading === 'number') result.observe(reading);
    else for (const [value, labels] of reading ?? []) result.observe(value, labels);
  });
}

/** Under the names that all of Prometheus's clients have for them. */
function measureProcess(registry: Registry): void {
  const started = Date.now() / 1_000 - process.uptime();
  registry.gauge(
    'process_start_time_seconds',
    'When the process began, in seconds since 1970.',
    () => started,
  );
  registry.gauge('process_resident_memory_bytes', 'Memory that the process takes up.', () =>
    process.memoryUsage.rss(),
  );
  registry.counter('process_cpu_seconds_total', 'CPU time that the process has used.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
}
