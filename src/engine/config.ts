/** The engine's configuration, generated: what it may do is written here and nowhere else. */
import { DATABASES, type EngineLimits } from '../model/engine.ts'

/**
 * config.xml: caches small, merges gentle, temporary files in our own directory. The selector's
 * base of 12 merges twelve equal parts where its default merges five: at 10,000 rows/s that is
 * 17 ms of merging a second instead of 26.
 */
export function configXml(directory: string, limits: EngineLimits): string {
  return `<clickhouse>
  <path>${directory}/data/</path>
  <tmp_path>${directory}/tmp/</tmp_path>
  <user_files_path>${directory}/none/</user_files_path>
  <users_config>${directory}/users.xml</users_config>
  <timezone>UTC</timezone>
  <max_server_memory_usage>${limits.memoryBytes}</max_server_memory_usage>
  <mark_cache_size>134217728</mark_cache_size>
  <index_mark_cache_size>33554432</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <background_common_pool_size>2</background_common_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <background_fetches_pool_size>1</background_fetches_pool_size>
  <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
  <background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
  <merge_tree>
    <merge_selector_base>12</merge_selector_base>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
</clickhouse>
`
}

/**
 * users.xml: the only user has its rights by <grants> alone, which closes file(), url(), s3() and
 * every other table function that leaves the engine.
 */
export function usersXml(): string {
  const grants = [
    ...DATABASES.map((database) => `GRANT ALL ON ${database}.*`),
    'GRANT SELECT ON system.*',
    'GRANT SELECT ON information_schema.*',
    'GRANT SYSTEM RELOAD DICTIONARY ON *.*',
    'GRANT KILL QUERY ON *.*',
  ]
  return `<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
${grants.map((grant) => `        <query>${grant}</query>`).join('\n')}
      </grants>
    </default>
  </users>
</clickhouse>
`
}

/** Each insert becomes one part a partition: all of it is there after a crash, or nothing. */
export function writerArgs(): string[] {
  return [
    '--async_insert=0',
    '--min_insert_block_size_rows=100000000',
    '--min_insert_block_size_bytes=8589934592',
    '--max_insert_block_size=100000000',
    '--max_insert_threads=1',
    '--max_partitions_per_insert_block=100',
    '--mutations_sync=1',
  ]
}

/** Fixed limits: with readonly = 1 no statement can change them. */
export function readerArgs(limits: EngineLimits): string[] {
  return [
    `--max_execution_time=${limits.readerSeconds}`,
    '--timeout_overflow_mode=throw',
    `--max_memory_usage=${limits.readerMemoryBytes}`,
    `--max_result_rows=${limits.readerRows}`,
    `--max_result_bytes=${limits.readerBytes}`,
    '--result_overflow_mode=throw',
    '--readonly=1',
  ]
}
