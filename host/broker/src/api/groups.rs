//! Group membership: the wire side of [`crate::group`].

use std::sync::Arc;

use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use uuid::Uuid;

use super::{Caller, code, optional, text};
use crate::core::Core;
use crate::group::{Claim, Group, Join, State};

/// `group.min.session.timeout.ms` and `group.max.session.timeout.ms` of Apache Kafka.
const SESSION_TIMEOUT_MS: std::ops::RangeInclusive<i32> = 6_000..=1_800_000;
/// What a member may say about itself; Connect sends kilobytes.
const METADATA_BYTES_MAX: usize = 8 << 20;
/// The type that the newer group protocols taught clients to ask for.
const CLASSIC: &str = "classic";

pub(super) async fn join(core: Arc<Core>, caller: Caller, request: JoinGroupRequest) -> JoinGroupResponse {
    let refuse = |error: Error, member_id: &str| {
        JoinGroupResponse::default()
            .with_error_code(error.code())
            .with_generation_id(-1)
            .with_protocol_name((caller.version < 7).then(|| text("")))
            .with_member_id(text(member_id))
    };
    if request.group_id.is_empty() {
        return refuse(Error::InvalidGroupId, &request.member_id);
    }
    if !SESSION_TIMEOUT_MS.contains(&request.session_timeout_ms) {
        return refuse(Error::InvalidSessionTimeout, &request.member_id);
    }
    if request.protocols.iter().map(|protocol| protocol.metadata.len()).sum::<usize>() > METADATA_BYTES_MAX {
        return refuse(Error::InvalidRequest, &request.member_id);
    }
    let session_timeout_ms = request.session_timeout_ms as u64;
    let name = request.group_instance_id.as_deref().unwrap_or(&caller.client_id);
    let join = Join {
        member_id: request.member_id.to_string(),
        fresh_member_id: format!("{name}-{}", Uuid::new_v4()),
        instance_id: optional(request.group_instance_id.as_ref()),
        client_id: caller.client_id.clone(),
        client_host: format!("/{}", caller.host),
        session_timeout_ms,
        rebalance_timeout_ms: u64::try_from(request.rebalance_timeout_ms).unwrap_or(session_timeout_ms),
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata))
            .collect(),
        require_known_id: caller.version >= 4,
        can_skip_assignment: caller.version >= 9,
    };
    match core.coordinator.join(&request.group_id, join).await {
        Err((error, member_id)) => refuse(error, &member_id),
        Ok(joined) => {
            let members = joined.members.into_iter().map(|(id, instance_id, metadata)| {
                JoinGroupResponseMember::default()
                    .with_member_id(text(id))
                    .with_group_instance_id(instance_id.map(text))
                    .with_metadata(metadata)
            });
            JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_type(Some(text(joined.protocol_type)))
                .with_protocol_name(Some(text(joined.protocol)))
                .with_leader(text(joined.leader))
                .with_skip_assignment(joined.skip_assignment)
                .with_member_id(text(joined.member_id))
                .with_members(members.collect())
        }
    }
}

pub(super) async fn sync(core: Arc<Core>, _: Caller, request: SyncGroupRequest) -> SyncGroupResponse {
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    let assignments = request.assignments.into_iter().map(|a| (a.member_id.to_string(), a.assignment)).collect();
    let (protocol_type, protocol) = (request.protocol_type.as_deref(), request.protocol_name.as_deref());
    let result = core.coordinator.sync(&request.group_id, claim, protocol_type, protocol, assignments).await;
    let response = SyncGroupResponse::default().with_error_code(code(&result));
    let Ok(assignment) = result else { return response };
    let (protocol_type, protocol) = core.coordinator.with_group(&request.group_id, |group| {
        group.map(|group| (group.protocol_type.clone(), group.protocol.clone())).unwrap_or_default()
    });
    response
        .with_protocol_type(Some(text(protocol_type)))
        .with_protocol_name(Some(text(protocol)))
        .with_assignment(assignment)
}

pub(super) fn heartbeat(core: &Core, _: &Caller, request: HeartbeatRequest) -> HeartbeatResponse {
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    HeartbeatResponse::default().with_error_code(code(&core.coordinator.heartbeat(&request.group_id, claim)))
}

pub(super) fn leave(core: &Core, caller: &Caller, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let group = request.group_id.as_str();
    if caller.version < 3 {
        let result = core.coordinator.leave(group, &request.member_id, None);
        return LeaveGroupResponse::default().with_error_code(code(&result));
    }
    let members = request.members.into_iter().map(|member| {
        let result = core.coordinator.leave(group, &member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_error_code(code(&result))
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

pub(super) fn describe(core: &Core, caller: &Caller, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        let described = core.coordinator.with_group(&id, |group| group.map(describe_group));
        let described = described.unwrap_or_else(|| {
            let has_offsets = core.with_offsets(&id, |offsets| offsets.is_some());
            let group = DescribedGroup::default();
            if has_offsets {
                return group.with_group_state(text(State::Empty.name()));
            }
            let dead = group.with_group_state(text("Dead"));
            if caller.version < 6 {
                return dead;
            }
            dead.with_error_code(Error::GroupIdNotFound.code()).with_error_message(Some(text("group not found")))
        });
        described.with_group_id(id).with_authorized_operations(i32::MIN)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_group(group: &Group) -> DescribedGroup {
    let is_stable = group.state == State::Stable;
    let members = group.members.iter().map(|(id, member)| {
        let described = DescribedGroupMember::default()
            .with_member_id(text(&**id))
            .with_group_instance_id(member.instance_id.clone().map(text))
            .with_client_id(text(&*member.client_id))
            .with_client_host(text(&*member.client_host));
        if is_stable {
            described
                .with_member_metadata(member.metadata(&group.protocol))
                .with_member_assignment(member.assignment.clone())
        } else {
            described
        }
    });
    DescribedGroup::default()
        .with_group_state(text(group.state.name()))
        .with_protocol_type(text(&*group.protocol_type))
        .with_protocol_data(text(if is_stable { &*group.protocol } else { "" }))
        .with_members(members.collect())
}

pub(super) fn list(core: &Core, _: &Caller, request: ListGroupsRequest) -> ListGroupsResponse {
    let mut groups = core.coordinator.with_groups(|groups| {
        let listed = groups.iter().map(|(id, group)| (id.clone(), (group.protocol_type.clone(), group.state)));
        listed.collect::<std::collections::BTreeMap<_, _>>()
    });
    for id in core.offset_groups() {
        groups.entry(id).or_insert((String::new(), State::Empty));
    }
    let allows = |filter: &[kafka_protocol::protocol::StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let listed = groups
        .into_iter()
        .filter(|(_, (_, state))| {
            allows(&request.states_filter, state.name()) && allows(&request.types_filter, CLASSIC)
        })
        .map(|(id, (protocol_type, state))| {
            ListedGroup::default()
                .with_group_id(GroupId(text(id)))
                .with_protocol_type(text(protocol_type))
                .with_group_state(text(state.name()))
                .with_group_type(text(CLASSIC))
        });
    ListGroupsResponse::default().with_groups(listed.collect())
}

pub(super) fn delete(core: &Core, _: &Caller, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let result = core.delete_group(&id);
        DeletableGroupResult::default().with_error_code(code(&result)).with_group_id(id)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
