//! What the safe client lacks: topic ids, last stable offsets, ends of partitions, leader epochs, queues of one partition.

#![expect(unsafe_code, reason = "the safe client has none of these calls; this module wraps them")]

pub(crate) mod hurry;

use crate::answer::{Described, Failed};
use crate::properties::{Quiet, Reading};
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use seamline_flow::log::Incoming;
use seamline_message::headers::Headers;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// As many bytes as the headers of most records take.
const HEADER_BYTES: usize = 768;

/// What a queue of a partition held.
#[derive(Debug)]
pub(crate) enum Polled {
    Record(Incoming),
    /// All before this offset was examined, and there was no more.
    End(u64),
    Failed(RDKafkaErrorCode),
}

fn failed(what: &'static str, code: sys::rd_kafka_resp_err_t) -> Failed {
    Failed { what, code: code.into(), said: None }
}

fn c_text(text: &str) -> Result<CString, Failed> {
    let invalid = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG;
    CString::new(text).map_err(|_| failed("pass a name", invalid))
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// A queue for the answer of one call.
struct Answers(*mut sys::rd_kafka_queue_t);

impl Answers {
    fn of(client: *mut sys::rd_kafka_t) -> Answers {
        // SAFETY: the client lives for the whole call that makes this queue.
        Answers(unsafe { sys::rd_kafka_queue_new(client) })
    }

    /// Waits for the next answer.
    fn next(&self, what: &'static str, patience: Duration) -> Result<Answer, Failed> {
        // SAFETY: the queue is ours until it is dropped.
        let event = unsafe { sys::rd_kafka_queue_poll(self.0, millis(patience)) };
        if event.is_null() {
            return Err(failed(what, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT));
        }
        let answer = Answer(event);
        // SAFETY: the event is ours until the answer is dropped.
        let code = unsafe { sys::rd_kafka_event_error(event) };
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(answer)
        } else {
            Err(failed(what, code))
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_new`, destroyed once.
        unsafe { sys::rd_kafka_queue_destroy(self.0) }
    }
}

struct Answer(*mut sys::rd_kafka_event_t);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_poll`, destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0) }
    }
}

/// What a call is sent with: the client, the options, and the queue for the answer.
type Sent = (*mut sys::rd_kafka_t, *mut sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t);

/// Sends a call and waits for its answer.
fn ask(
    client: &Client<Quiet>,
    what: &'static str,
    call: sys::rd_kafka_admin_op_t,
    patience: Duration,
    send: impl FnOnce(Sent),
) -> Result<Answer, Failed> {
    let rk = client.native_ptr();
    let answers = Answers::of(rk);
    // SAFETY: the client is alive; the options are made and destroyed here; a time needs no buffer for complaints.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(rk, call);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis(patience), ptr::null_mut(), 0);
        send((rk, options, answers.0));
        sys::rd_kafka_AdminOptions_destroy(options);
    }
    answers.next(what, patience)
}

/// Describes topics, in the order asked for; none where there is no such topic, an error where we may not see it. Blocks at most about `patience`.
pub(crate) fn describe(
    client: &Client<Quiet>,
    names: &[&str],
    patience: Duration,
) -> Result<Vec<Result<Option<Described>, Failed>>, Failed> {
    const WHAT: &str = "describe topics";
    let names: Vec<CString> = names.iter().map(|name| c_text(name)).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let call = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: the call copies names and options; all live until it returns.
    let answer = ask(client, WHAT, call, patience, |(rk, options, answers)| unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        sys::rd_kafka_DescribeTopics(rk, topics, options, answers);
        sys::rd_kafka_TopicCollection_destroy(topics);
    })?;
    let mut count = 0;
    // SAFETY: the event is the answer to the call above; what it holds lives as long as it.
    let described = unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(answer.0);
        listed(sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count), count)
    };
    let mut found = vec![Ok(None); names.len()];
    for topic in described {
        // SAFETY: as above; the id's text is owned by the id. The list is read while the answer lives.
        let (name, code, id, replicas, may) = unsafe {
            let mut partitions = 0;
            let list = sys::rd_kafka_TopicDescription_partitions(*topic, &raw mut partitions);
            let replicas = listed(list, partitions).iter().map(|partition| {
                let mut replicas = 0;
                sys::rd_kafka_TopicPartitionInfo_replicas(*partition, &raw mut replicas);
                u32::try_from(replicas).unwrap_or(u32::MAX)
            });
            let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(*topic));
            let id = sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(*topic));
            let mut rights = 0;
            let may = sys::rd_kafka_TopicDescription_authorized_operations(*topic, &raw mut rights);
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(*topic));
            (name, code, text(id), replicas, listed(may, rights))
        };
        use sys::rd_kafka_resp_err_t as Code;
        let described = match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                let partitions = u32::try_from(replicas.len()).unwrap_or(u32::MAX);
                let write = sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE;
                let may_write = may.is_empty() || may.contains(&write);
                Ok(Some(Described { id, partitions, replicas: replicas.min().unwrap_or(0), may_write }))
            }
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID => {
                Ok(None)
            }
            code => Err(failed(WHAT, code)),
        };
        for (idx, _) in names.iter().enumerate().filter(|(_, asked)| asked.as_c_str() == name) {
            found[idx] = described.clone();
        }
    }
    Ok(found)
}

/// Makes a topic.
pub(crate) fn create(
    client: &Client<Quiet>,
    name: &str,
    (partitions, replicas): (i32, i32),
    settings: &[(&str, String)],
    patience: Duration,
) -> Result<(), Failed> {
    const WHAT: &str = "make a topic";
    let name = c_text(name)?;
    let pairs = settings.iter().map(|(name, value)| Ok((c_text(name)?, c_text(value)?)));
    let pairs: Vec<(CString, CString)> = pairs.collect::<Result<_, _>>()?;
    let mut why: [c_char; 256] = [0; 256];
    // SAFETY: the name lives until the call returns; the buffer has the length that is told.
    let mut topic = unsafe {
        sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, why.as_mut_ptr(), why.len())
    };
    if topic.is_null() {
        let code = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG;
        return Err(Failed { said: Some(text(why.as_ptr())), ..failed(WHAT, code) });
    }
    let call = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS;
    // SAFETY: the call copies topic and options; the topic is destroyed once.
    let answer = ask(client, WHAT, call, patience, |(rk, options, answers)| unsafe {
        for (name, value) in &pairs {
            sys::rd_kafka_NewTopic_set_config(topic, name.as_ptr(), value.as_ptr());
        }
        sys::rd_kafka_CreateTopics(rk, &raw mut topic, 1, options, answers);
        sys::rd_kafka_NewTopic_destroy(topic);
    })?;
    let mut count = 0;
    // SAFETY: the event is the answer to the call above; what it holds lives as long as it.
    let (code, said) = unsafe {
        let result = sys::rd_kafka_event_CreateTopics_result(answer.0);
        let topics = sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
        assert!(count == 1, "one topic was asked for");
        (sys::rd_kafka_topic_result_error(*topics), text(sys::rd_kafka_topic_result_error_string(*topics)))
    };
    if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    Err(Failed { said: Some(said).filter(|said| !said.is_empty()), ..failed(WHAT, code) })
}

/// Returns the settings of a topic.
pub(crate) fn settings(
    client: &Client<Quiet>,
    topic: &str,
    patience: Duration,
) -> Result<BTreeMap<String, String>, Failed> {
    const WHAT: &str = "describe a topic's settings";
    let topic = c_text(topic)?;
    let call = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
    let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: the call copies resource and options; the resource is destroyed once.
    let answer = ask(client, WHAT, call, patience, |(rk, options, answers)| unsafe {
        let mut resource = sys::rd_kafka_ConfigResource_new(kind, topic.as_ptr());
        sys::rd_kafka_DescribeConfigs(rk, &raw mut resource, 1, options, answers);
        sys::rd_kafka_ConfigResource_destroy(resource);
    })?;
    let mut count = 0;
    // SAFETY: the event is the answer to the call above; what it holds lives as long as it.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConfigs_result(answer.0);
        let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        assert!(count == 1, "one topic was asked for");
        let code = sys::rd_kafka_ConfigResource_error(*resources);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(failed(WHAT, code));
        }
        let entries = sys::rd_kafka_ConfigResource_configs(*resources, &raw mut count);
        let entry = |entry: &*const sys::rd_kafka_ConfigEntry_t| {
            (text(sys::rd_kafka_ConfigEntry_name(*entry)), text(sys::rd_kafka_ConfigEntry_value(*entry)))
        };
        Ok(listed(entries, count).iter().map(entry).collect())
    }
}

/// Returns a list of the client's.
///
/// # Safety
/// It has so many entries, and lives as long as what is returned.
unsafe fn listed<'a, T>(list: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise; an empty list may be null.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(list, count) } }
}

/// Returns a text of the client's.
fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: it ends with a zero byte and lives while it is copied.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Returns the end of a partition behind all that was appended, committed or not. Blocks at most about `patience`.
pub(crate) fn appended(
    client: &Client<Quiet>,
    topic: &str,
    partition: u32,
    patience: Duration,
) -> Result<u64, Failed> {
    let level = sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED;
    let latest = sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST;
    offset(client, topic, partition, (latest, level), patience)
}

/// Returns the oldest offset of a partition and its last stable one. Blocks at most about `patience`.
pub(crate) fn offsets(
    client: &Client<Quiet>,
    topic: &str,
    partition: u32,
    patience: Duration,
) -> Result<(u64, u64), Failed> {
    use sys::rd_kafka_OffsetSpec_t as Spec;
    let level = sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
    let of = |spec| offset(client, topic, partition, (spec, level), patience);
    Ok((of(Spec::RD_KAFKA_OFFSET_SPEC_EARLIEST)?, of(Spec::RD_KAFKA_OFFSET_SPEC_LATEST)?))
}

fn offset(
    client: &Client<Quiet>,
    topic: &str,
    partition: u32,
    (spec, level): (sys::rd_kafka_OffsetSpec_t, sys::rd_kafka_IsolationLevel_t),
    patience: Duration,
) -> Result<u64, Failed> {
    const WHAT: &str = "list offsets";
    let topic = c_text(topic)?;
    let call = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
    // SAFETY: the call copies the list and the options; all live until it returns.
    let answer = ask(client, WHAT, call, patience, |(rk, options, answers)| unsafe {
        let error = sys::rd_kafka_AdminOptions_set_isolation_level(options, level);
        assert!(error.is_null(), "listing offsets has an isolation level");
        let list = sys::rd_kafka_topic_partition_list_new(1);
        let place = sys::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition.cast_signed());
        (*place).offset = spec as i64;
        sys::rd_kafka_ListOffsets(rk, list, options, answers);
        sys::rd_kafka_topic_partition_list_destroy(list);
    })?;
    let mut count = 0;
    // SAFETY: the event is the answer to the call above; what it holds lives as long as it.
    let (code, offset) = unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(answer.0);
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        assert!(count == 1, "one partition was asked for");
        let place = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos);
        ((*place).err, (*place).offset)
    };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(failed(WHAT, code));
    }
    let invalid = failed(WHAT, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE);
    u64::try_from(offset).map_err(|_| invalid)
}

/// One partition being read by a client that reads it nowhere else.
pub(crate) struct Partition {
    client: Arc<Reading>,
    topic: *mut sys::rd_kafka_topic_t,
    name: CString,
    partition: i32,
}

// SAFETY: librdkafka's handles may be used from any thread; ours is used by one at a time.
unsafe impl Send for Partition {}

impl Partition {
    /// Begins to read. The caller sees to it that this client does not read the partition already.
    pub(crate) fn start(
        client: Arc<Reading>,
        topic: &str,
        partition: u32,
        from: u64,
    ) -> Result<Partition, Failed> {
        const WHAT: &str = "begin to read";
        let name = c_text(topic)?;
        let rk = rdkafka::consumer::Consumer::client(&*client).native_ptr();
        let (partition, from) = (partition.cast_signed(), from.cast_signed());
        // SAFETY: the client outlives the topic's handle: both are in the value returned.
        let topic = unsafe { sys::rd_kafka_topic_new(rk, name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            // SAFETY: no arguments.
            return Err(failed(WHAT, unsafe { sys::rd_kafka_last_error() }));
        }
        // SAFETY: the handle is alive.
        if unsafe { sys::rd_kafka_consume_start(topic, partition, from) } != 0 {
            // SAFETY: no arguments; the handle is destroyed once.
            let code = unsafe { sys::rd_kafka_last_error() };
            // SAFETY: made above, not used after.
            unsafe { sys::rd_kafka_topic_destroy(topic) };
            return Err(failed(WHAT, code));
        }
        Ok(Partition { client, topic, name, partition })
    }

    /// Returns what is there, at most `limit`. Never waits.
    pub(crate) fn poll(&mut self, limit: usize) -> Result<Vec<Polled>, Failed> {
        let mut messages: Vec<*mut sys::rd_kafka_message_t> = Vec::with_capacity(limit);
        // SAFETY: the buffer has room for `limit` pointers; the handle is alive.
        let count = unsafe {
            sys::rd_kafka_consume_batch(self.topic, self.partition, 0, messages.as_mut_ptr(), limit)
        };
        let Ok(count) = usize::try_from(count) else {
            // SAFETY: no arguments.
            return Err(failed("read", unsafe { sys::rd_kafka_last_error() }));
        };
        // SAFETY: the call wrote so many pointers.
        unsafe { messages.set_len(count) };
        let polled = messages.iter().map(|message| {
            // SAFETY: the message is ours until it is destroyed, here and once.
            unsafe {
                let polled = polled(*message);
                sys::rd_kafka_message_destroy(*message);
                polled
            }
        });
        Ok(polled.collect())
    }

    /// Returns the offset behind all that was polled, transaction markers too; none before the first.
    pub(crate) fn position(&self) -> Option<u64> {
        let rk = rdkafka::consumer::Consumer::client(&*self.client).native_ptr();
        // SAFETY: the list is made, read and destroyed here; the client is alive.
        let offset = unsafe {
            let list = sys::rd_kafka_topic_partition_list_new(1);
            let place = sys::rd_kafka_topic_partition_list_add(list, self.name.as_ptr(), self.partition);
            sys::rd_kafka_position(rk, list);
            let offset = (*place).offset;
            sys::rd_kafka_topic_partition_list_destroy(list);
            offset
        };
        u64::try_from(offset).ok()
    }

    /// Returns the oldest offset and the high watermark as the last answer of the broker told them.
    pub(crate) fn watermarks(&self) -> (Option<u64>, Option<u64>) {
        let rk = rdkafka::consumer::Consumer::client(&*self.client).native_ptr();
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, the places are ours.
        unsafe {
            sys::rd_kafka_get_watermark_offsets(
                rk,
                self.name.as_ptr(),
                self.partition,
                &raw mut low,
                &raw mut high,
            );
        }
        (u64::try_from(low).ok(), u64::try_from(high).ok())
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        // SAFETY: started and made by `start`; stopped and destroyed once.
        unsafe {
            sys::rd_kafka_consume_stop(self.topic, self.partition);
            sys::rd_kafka_topic_destroy(self.topic);
        }
    }
}

/// Copies a message.
///
/// # Safety
/// The message must be alive.
unsafe fn polled(message: *const sys::rd_kafka_message_t) -> Polled {
    // SAFETY: the caller's promise.
    let it = unsafe { &*message };
    match it.err {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {}
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
            return u64::try_from(it.offset)
                .map_or(Polled::Failed(RDKafkaErrorCode::PartitionEOF), Polled::End);
        }
        code => return Polled::Failed(code.into()),
    }
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is alive; its bytes are copied at once.
    unsafe {
        let time = sys::rd_kafka_message_timestamp(message, &raw mut kind);
        Polled::Record(Incoming {
            offset: u64::try_from(it.offset).expect("a record has an offset"),
            leader_epoch: sys::rd_kafka_message_leader_epoch(message),
            time: jiff::Timestamp::from_millisecond(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            key: bytes(it.key.cast(), it.key_len),
            headers: headers(message),
            value: bytes(it.payload.cast(), it.len),
            fault: None,
        })
    }
}

/// # Safety
/// The message must be alive.
unsafe fn headers(message: *const sys::rd_kafka_message_t) -> Headers {
    let (mut list, mut idx) = (ptr::null_mut(), 0);
    let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: the list belongs to the message; names end with a zero byte; values have the length told.
    unsafe {
        if sys::rd_kafka_message_headers(message, &raw mut list) != none {
            return Headers::default();
        }
        let mut headers = Headers::with_capacity(HEADER_BYTES);
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        while sys::rd_kafka_header_get_all(list, idx, &raw mut name, &raw mut value, &raw mut length) == none
        {
            let name = CStr::from_ptr(name).to_string_lossy();
            let value: *const u8 = value.cast();
            headers.push(&name, (!value.is_null()).then(|| std::slice::from_raw_parts(value, length)));
            idx += 1;
        }
        headers
    }
}

/// # Safety
/// There are so many bytes, or the pointer is null.
unsafe fn bytes(start: *const u8, length: usize) -> Option<Vec<u8>> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(start, length) }.to_vec())
}
