/**
 * The public interface of the Millrace runtime: named exports only. Applications import it as `millrace`
 * (inside this repository `#streams`); tests add `millrace/testing`.
 */

export type { Overview, RecentOrder, TaskOverview } from './app/http-api-types.ts';
export {
  type Health,
  type HttpRoute,
  type HttpServer,
  type HttpServerOptions,
  startHttpServer,
} from './app/http-server.ts';
export { type MovedChangelog, type RepartitionOptions, repartitionState } from './app/repartition-state.ts';
export {
  StreamsApp,
  type StreamsAppOptions,
  type StreamsSettings,
  type StreamsState,
  type StreamsStatus,
  type TaskStatus,
} from './app/streams-app.ts';
export { type UnreadInput, unreadInputs } from './app/unread-inputs.ts';
export { assert, must, unreachable } from './base/assert.ts';
export type { Entry, KeyRange, KeyValueBackend, OpenBackend, Write } from './base/backend-port.ts';
export type { Clock, Random } from './base/clock-port.ts';
export {
  type ErrorCode,
  type ErrorContext,
  type ErrorKind,
  errorCodes,
  StreamsError,
} from './base/errors.ts';
export { murmur2, partitionForKey } from './base/murmur2.ts';
export {
  type Header,
  type Headers,
  lastHeader,
  type TopicPartition,
  textHeader,
  withHeader,
} from './base/record.ts';
export type { CompatibilityLevel, RegisteredSchema, SchemaRegistry } from './base/registry-port.ts';
export { seededRandom, shuffled } from './base/seeded-random.ts';
export {
  type LogFields,
  type Logger,
  type Metrics,
  silentTelemetry,
  type Telemetry,
} from './base/telemetry-port.ts';
export { wallClock } from './base/wall-clock.ts';
export type {
  Admin,
  Broker,
  Consumer,
  GroupEvent,
  GroupMember,
  GroupOptions,
  Isolation,
  OutgoingRecord,
  PartitionOffset,
  Producer,
  RecordBatch,
  TopicDescription,
  TopicSpec,
} from './broker/broker-port.ts';
export {
  type EmbeddedBroker,
  type EmbeddedBrokerOptions,
  openEmbeddedBroker,
} from './broker/embedded-broker.ts';
export { type KafkaBrokerOptions, openKafkaBroker } from './broker/kafka-broker.ts';
export type { GroupProtocol } from './broker/kafka-settings.ts';
export type { CommitStep, ProcessingGuarantee } from './commit/commit-cycle.ts';
export type {
  BranchEntry,
  BranchedKStream,
  BranchMap,
  CogroupedKStream,
  GlobalKTable,
  KGroupedStream,
  KGroupedTable,
  KStream,
  KTable,
  SessionWindowedCogroupedKStream,
  SessionWindowedKStream,
  TimeWindowedCogroupedKStream,
  TimeWindowedKStream,
} from './dsl/api.ts';
export type {
  AsyncOptions,
  AsyncProcessOptions,
  AsyncProcessor,
  AsyncProcessorSupplier,
  AsyncRecordMapper,
  AsyncValueMapper,
} from './dsl/async-options.ts';
export type { Change } from './dsl/change.ts';
export type {
  AggregateOptions,
  Aggregator,
  Branched,
  BranchedConsumer,
  Consumed,
  ForeachAction,
  ForeignKeyExtractor,
  ForeignKeyJoinOptions,
  Grouped,
  Initializer,
  Joined,
  JoinWindows,
  KeyValue,
  KeyValueMapper,
  Materialized,
  Named,
  NamedSplit,
  OuterStreamJoined,
  Predicate,
  Printed,
  ProcessOptions,
  ProcessValuesOptions,
  Produced,
  Reducer,
  Repartitioned,
  SameTypeOptions,
  SerdeFor,
  StoreOptions,
  StreamJoined,
  TableOptions,
  TransformValuesOptions,
  TypePredicate,
  ValueJoiner,
  ValueMapper,
  ValueTransformerSupplier,
  ValueTransformerWithKey,
  VersionedOptions,
} from './dsl/options.ts';
export {
  type SessionStoreDefinition,
  type StoreDefinition,
  Stores,
  type VersionedStoreDefinition,
  type WindowStoreDefinition,
} from './dsl/stores.ts';
export { type BuildOptions, type ConsumedTable, StreamsBuilder } from './dsl/streams-builder.ts';
export type {
  BufferLimits,
  StrictBuffer,
  SuppressBuffer,
  Suppressed,
  UntilTimeLimit,
  UntilWindowCloses,
} from './dsl/suppressed.ts';
export { timestampedSerde, type ValueAndTimestamp } from './dsl/timestamped.ts';
export type {
  EmitStrategy,
  Merger,
  WindowedAggregateOptions,
  WindowedMaterialized,
  WindowedSameTypeOptions,
  WindowedTableOptions,
} from './dsl/windowed-options.ts';
export {
  type AnyWindows,
  type FixedWindows,
  type SessionWindows,
  type SlidingWindows,
  sessionWindowedSerde,
  sessionWindows,
  slidingWindows,
  type TimeWindows,
  timeWindowedSerde,
  timeWindows,
  type UnlimitedWindows,
  unlimitedEndMs,
  unlimitedWindows,
  type Window,
  type Windowed,
  type WindowedSerde,
} from './dsl/windows.ts';
export { deadLetterTopic } from './failure/dead-letter.ts';
export { deadLetterPolicy, type FailurePolicy, type Reaction } from './failure/failure-policy.ts';
export type { AsyncCall, AsyncStep, CallReaction } from './graph/async-step.ts';
export type { TopologyJson } from './graph/describe.ts';
export type {
  GlobalStoreSpec,
  GraphNode,
  OffsetReset,
  ProcessorNode,
  RepartitionSpec,
  RowPlacement,
  SinkNode,
  SourceNode,
  StoreSpec,
  StreamPartitioner,
  TimestampExtractor,
  TopicRef,
} from './graph/node.ts';
export type {
  KeyValueStore,
  Prefetch,
  PrefixSerializer,
  Processor,
  ProcessorContext,
  PunctuationType,
  ReadOnlyKeyValueStore,
  ReadOnlySessionStore,
  ReadOnlyWindowStore,
  Record,
  RecordMetadata,
  SessionKey,
  SessionStore,
  SessionValues,
  SingleWindowStore,
  StateStore,
  TimedValues,
  Timer,
  TimerClock,
  Timers,
  VersionedKeyValueStore,
  VersionedPut,
  VersionedRecord,
  WindowedValues,
  WindowKey,
  WindowStore,
} from './graph/processor.ts';
export type { Subtopology } from './graph/subtopology.ts';
export { type ProcessorSupplier, withStores } from './graph/supplier.ts';
export {
  type AddGlobalStore,
  type AddProcessor,
  type AddSink,
  type AddSource,
  Topology,
} from './graph/topology.ts';
export { createPinoLogger, type LogLevel, type PinoLoggerOptions } from './observe/pino-logger.ts';
export {
  createPrometheusMetrics,
  type PrometheusMetrics,
  type PrometheusMetricsOptions,
} from './observe/prometheus-metrics.ts';
export { type EmbeddedRegistryOptions, openEmbeddedRegistry } from './registry/embedded-registry.ts';
export { type HttpRegistryOptions, openHttpRegistry } from './registry/http-registry.ts';
export { loadSchemas, type SchemaSet, type TopicSchemas } from './registry/schema-files.ts';
export type { RestoreStatus } from './restore/restore-watch.ts';
export {
  type AvroSchemas,
  type AvroSerdes,
  type AvroSerdesOptions,
  type AvroValue,
  createAvroSerdes,
} from './serde/avro-serde.ts';
export {
  bigintSerde,
  booleanSerde,
  bytesSerde,
  doubleSerde,
  floatSerde,
  integerSerde,
  jsonSerde,
  longSerde,
  type Serde,
  shortSerde,
  stringSerde,
  uuidSerde,
  voidSerde,
} from './serde/serde.ts';
export { type MemoryBackendOptions, openMemoryBackend } from './store/memory-backend.ts';
export { openRocksDbBackend } from './store/rocksdb-backend.ts';
export type { RocksDbOptions } from './store/rocksdb-library.ts';
export type { GlobalStatus } from './thread/global-tables.ts';
export type { StandbyStatus } from './thread/standby-tasks.ts';
