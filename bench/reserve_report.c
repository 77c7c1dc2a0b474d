#include "bench/reserve_report.h"

#include "bench/clock.h"
#include "engine/status.h"

#include <inttypes.h>
#include <jansson.h>

static bool refused_for_now(int status)
{
    return status == STATUS_LIMIT_REACHED || status == STATUS_OVERLOADED || status == STATUS_DISK_FULL ||
           status == STATUS_SHUTTING_DOWN;
}

struct reserve_verdicts reserve_verdicts_of(const struct load_counts *counts)
{
    struct reserve_verdicts verdicts = { .accepted = counts->status[STATUS_OK] };
    for (int status = STATUS_OK + 1; status < STATUS_SLOTS; status++) {
        bool refused = status_class((uint16_t)status) == STATUS_CLASS_FINAL || refused_for_now(status);
        *(refused ? &verdicts.refused : &verdicts.errors) += counts->status[status];
    }
    return verdicts;
}

double reserve_accepted_percent(const struct load_counts *counts)
{
    return counts->answered == 0 ? 100 : 100.0 * (double)counts->status[STATUS_OK] / (double)counts->answered;
}

static double per_second(const struct load_run_result *result)
{
    return result->duration_ns == 0 ? 0 : (double)result->measured.answered / clock_seconds(result->duration_ns);
}

static double cpu_us_per_op(const struct load_run_result *result)
{
    double ops = (double)result->measured.answered;
    return ops > 0 ? (double)result->cpu_ns / (double)NS_PER_US / ops : 0;
}

static double percentile_us(const struct histogram *histogram, double share)
{
    return (double)histogram_percentile(histogram, share) / (double)NS_PER_US;
}

double reserve_to_raw(const struct reserve_report *report)
{
    bool one_at_a_time = report->options->connections == 1 && report->options->load.pipeline == 1;
    if (!one_at_a_time || !report->disk.done || !report->loopback.done || report->result->latency_ns.count == 0)
        return 0;
    return percentile_us(&report->result->latency_ns, 0.5) /
           (percentile_us(&report->disk.latency_ns, 0.5) + percentile_us(&report->loopback.latency_ns, 0.5));
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------- */

static void set(json_t *object, const char *name, json_t *value)
{
    ENSURE(json_object_set_new(object, name, value) == 0);
}

static void set_count(json_t *object, const char *name, uint64_t count)
{
    set(object, name, json_integer((json_int_t)count));
}

static void set_real(json_t *object, const char *name, double value)
{
    set(object, name, json_real(value));
}

static void set_latency(json_t *object, const struct histogram *histogram)
{
    set_real(object, "p50_us", percentile_us(histogram, 0.5));
    set_real(object, "p99_us", percentile_us(histogram, 0.99));
    set_real(object, "p999_us", percentile_us(histogram, 0.999));
    set_real(object, "max_us", (double)histogram->max / (double)NS_PER_US);
}

static void set_verdicts(json_t *object, const struct load_counts *counts)
{
    struct reserve_verdicts verdicts = reserve_verdicts_of(counts);
    set_count(object, "accepted", verdicts.accepted);
    set_count(object, "refused", verdicts.refused);
    set_count(object, "errors", verdicts.errors);
}

static json_t *statuses_json(const struct load_counts *counts)
{
    json_t *statuses = json_object();
    for (int status = 0; status < STATUS_SLOTS; status++)
        if (counts->status[status] > 0)
            set_count(statuses, status_name((uint16_t)status), counts->status[status]);
    return statuses;
}

static json_t *warmup_json(const struct reserve_report *report)
{
    json_t *warmup = json_object();
    set_real(warmup, "seconds", clock_seconds(report->options->warmup_ns));
    set_verdicts(warmup, &report->result->warmup);
    return warmup;
}

static json_t *parameters_json(const struct reserve_report *report)
{
    const struct load_run_options *options = report->options;
    json_t *parameters = json_object();
    set_count(parameters, "connections", options->connections);
    set_count(parameters, "pipeline", options->load.pipeline);
    set_count(parameters, "batch", options->load.batch);
    set_count(parameters, "threads", options->threads);
    set_real(parameters, "seconds", clock_seconds(options->duration_ns));
    set_count(parameters, "properties", options->shape.properties);
    set_count(parameters, "room_types", options->shape.room_types);
    set_count(parameters, "nights", options->load.nights);
    set_count(parameters, "rooms", report->setup_options->rooms);
    set_count(parameters, "stay", options->load.stay);
    set_count(parameters, "property_base", options->shape.property_base);
    set(parameters, "distribution", json_string(distribution_name(options->shape.distribution)));
    set(parameters, "affinity", json_boolean(options->affinity));
    set_count(parameters, "seed", options->seed);
    return parameters;
}

static json_t *shards_json(const struct reserve_report *report)
{
    json_t *shards = json_array();
    for (uint32_t i = 0; report->before != NULL && i < report->setup->hello.shards; i++) {
        json_t *shard = json_object();
        set_count(shard, "shard", i);
        set_count(shard, "lsn_before", report->before[i].header.lsn);
        set_count(shard, "reservations_before", report->before[i].reservations_confirmed);
        if (report->after != NULL) {
            set_count(shard, "lsn_after", report->after[i].header.lsn);
            set_count(shard, "reservations_after", report->after[i].reservations_confirmed);
            set_count(shard, "frames", report->after[i].frames - report->before[i].frames);
            set_count(shard, "log_bytes", report->after[i].log_bytes - report->before[i].log_bytes);
            set_real(shard, "commit_p50_us", (double)report->after[i].commit_p50_ns / (double)NS_PER_US);
            set_real(shard, "commit_p99_us", (double)report->after[i].commit_p99_ns / (double)NS_PER_US);
        }
        ENSURE(json_array_append_new(shards, shard) == 0);
    }
    return shards;
}

static json_t *probe_json(const struct reserve_probe *probe)
{
    json_t *object = json_object();
    set_count(object, "count", probe->latency_ns.count);
    set_latency(object, &probe->latency_ns);
    return object;
}

static void set_probes(json_t *object, const struct reserve_report *report)
{
    if (report->disk.done)
        set(object, "probe_disk", probe_json(&report->disk));
    if (report->loopback.done)
        set(object, "probe_loopback", probe_json(&report->loopback));
    if (reserve_to_raw(report) > 0)
        set_real(object, "p50_to_raw", reserve_to_raw(report));
}

void reserve_report_json(const struct reserve_report *report, FILE *out)
{
    const struct load_run_result *result = report->result;
    json_t *object = json_object();
    set(object, "complete", json_boolean(!failure_is_set(report->failure)));
    if (failure_is_set(report->failure))
        set(object, "error", json_string(report->failure->text));
    set_real(object, "ops_per_second", per_second(result));
    set_verdicts(object, &result->measured);
    set_count(object, "unknown", result->unknown);
    set_count(object, "unsent", result->unsent);
    set_real(object, "accepted_percent", reserve_accepted_percent(&result->measured));
    set_latency(object, &result->latency_ns);
    set_real(object, "seconds", clock_seconds(result->duration_ns));
    set_count(object, "messages", result->latency_ns.count);
    set_real(object, "client_cpu_seconds", clock_seconds(result->cpu_ns));
    set_real(object, "client_cpu_us_per_op", cpu_us_per_op(result));
    set(object, "statuses", statuses_json(&result->measured));
    set(object, "warmup", warmup_json(report));
    set_count(object, "properties_made", report->setup->properties_made);
    set_count(object, "room_types_made", report->setup->room_types_made);
    set(object, "shards", shards_json(report));
    set_probes(object, report);
    set(object, "parameters", parameters_json(report));
    json_dumpf(object, out, JSON_REAL_PRECISION(8));
    fputc('\n', out);
    json_decref(object);
}

/* ---- Text ---------------------------------------------------------------------------------------------------------- */

static void print_probe(const struct reserve_probe *probe, const char *what, FILE *out)
{
    if (probe->done)
        fprintf(out, "%-24s p50 %.0f us, p99 %.0f us, max %.0f us (%" PRIu64 " in all)\n", what,
                percentile_us(&probe->latency_ns, 0.5), percentile_us(&probe->latency_ns, 0.99),
                (double)probe->latency_ns.max / (double)NS_PER_US, probe->latency_ns.count);
}

static void print_shards(const struct reserve_report *report, FILE *out)
{
    for (uint32_t i = 0; report->before != NULL && report->after != NULL && i < report->setup->hello.shards; i++)
        fprintf(out, "shard %-3u LSN %" PRIu64 " to %" PRIu64 ", %" PRIu64 " frames, commit p50 %.0f us, p99 %.0f us\n",
                i, report->before[i].header.lsn, report->after[i].header.lsn,
                report->after[i].frames - report->before[i].frames,
                (double)report->after[i].commit_p50_ns / (double)NS_PER_US,
                (double)report->after[i].commit_p99_ns / (double)NS_PER_US);
}

static void print_statuses(const struct load_counts *counts, FILE *out)
{
    for (int status = STATUS_OK + 1; status < STATUS_SLOTS; status++)
        if (counts->status[status] > 0)
            fprintf(out, "  %s %" PRIu64 "\n", status_name((uint16_t)status), counts->status[status]);
}

void reserve_report_text(const struct reserve_report *report, FILE *out)
{
    const struct load_run_result *result = report->result;
    struct reserve_verdicts verdicts = reserve_verdicts_of(&result->measured);
    print_probe(&report->disk, "4 KiB durable write", out);
    print_probe(&report->loopback, "loopback, there and back", out);
    fprintf(out, "%.0f reserves a second over %.2f s: accepted %" PRIu64 ", refused %" PRIu64 ", errors %" PRIu64 "\n",
            per_second(result), clock_seconds(result->duration_ns), verdicts.accepted, verdicts.refused,
            verdicts.errors);
    print_statuses(&result->measured, out);
    if (result->unknown + result->unsent > 0)
        fprintf(out, "outcome unknown %" PRIu64 ", never sent %" PRIu64 "\n", result->unknown, result->unsent);
    fprintf(out, "latency of a message: p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us\n",
            percentile_us(&result->latency_ns, 0.5), percentile_us(&result->latency_ns, 0.99),
            percentile_us(&result->latency_ns, 0.999), (double)result->latency_ns.max / (double)NS_PER_US);
    if (reserve_to_raw(report) > 0)
        fprintf(out, "p50 is %.2f times a loopback round trip and a durable write together\n", reserve_to_raw(report));
    fprintf(out, "this generator: %.2f s of processor time, %.2f us a reserve\n", clock_seconds(result->cpu_ns),
            cpu_us_per_op(result));
    print_shards(report, out);
}
