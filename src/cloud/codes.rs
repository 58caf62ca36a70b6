//! What each error code of the cloud means for the caller: one table, and the hints that go with it.

/// What to do about an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The same call may succeed in a moment.
    Retryable,
    /// This pool has nothing to give: try another zone, type or region, never the same again.
    Capacity,
    /// The account may not have more: no other pool of this market in this region will do.
    Quota,
    /// What the call is about does not exist (any more); for a removal that is success.
    Gone,
    /// Trying again cannot help.
    Terminal,
}

/// No credentials were found anywhere in the chain.
pub const NO_CREDENTIALS: &str = "NoCredentials";
/// The credentials were good once.
pub const EXPIRED_TOKEN: &str = "ExpiredToken";
/// No connection, or one that broke before the answer came: whether the call took effect is unknown.
pub const CONNECTION_FAILED: &str = "ConnectionFailed";
/// Nothing listens at the endpoint, or its name does not resolve: the call was never sent.
pub const UNREACHABLE: &str = "EndpointUnreachable";
/// No answer in time: whether the call took effect is unknown.
pub const REQUEST_TIMEOUT: &str = "RequestTimeout";
/// An answer came that could not be read: whether the call took effect is unknown.
pub const INVALID_RESPONSE: &str = "InvalidResponse";

/// The one table. Codes that are not in it are classified by their shape, see [`classify`].
pub const TABLE: &[(&str, Class)] = &[
    // Retryable: throttling and passing faults of the service or the network.
    ("RequestLimitExceeded", Class::Retryable),
    ("Throttling", Class::Retryable),
    ("ThrottlingException", Class::Retryable),
    ("ThrottledException", Class::Retryable),
    ("RequestThrottled", Class::Retryable),
    ("RequestThrottledException", Class::Retryable),
    ("TooManyRequestsException", Class::Retryable),
    ("SlowDown", Class::Retryable),
    ("EC2ThrottledException", Class::Retryable),
    ("ServiceUnavailable", Class::Retryable),
    ("Unavailable", Class::Retryable),
    ("InternalError", Class::Retryable),
    ("InternalFailure", Class::Retryable),
    ("InternalServerError", Class::Retryable),
    ("IDPCommunicationError", Class::Retryable),
    (CONNECTION_FAILED, Class::Retryable),
    (UNREACHABLE, Class::Retryable),
    (REQUEST_TIMEOUT, Class::Retryable),
    ("RequestTimeoutException", Class::Retryable),
    (INVALID_RESPONSE, Class::Retryable),
    // Capacity: this pool now, or ever.
    ("InsufficientInstanceCapacity", Class::Capacity),
    ("InsufficientCapacity", Class::Capacity),
    ("InsufficientHostCapacity", Class::Capacity),
    ("InsufficientReservedInstanceCapacity", Class::Capacity),
    ("InsufficientCapacityOnHost", Class::Capacity),
    ("InsufficientFreeAddressesInSubnet", Class::Capacity),
    ("UnfulfillableCapacity", Class::Capacity),
    ("MaxFleetCountExceeded", Class::Capacity),
    ("SpotMaxPriceTooLow", Class::Capacity),
    ("Unsupported", Class::Capacity),
    // What a fleet calls a type that its zone does not have.
    ("InvalidFleetConfiguration", Class::Capacity),
    // Quota: of the account in this region.
    ("MaxSpotInstanceCountExceeded", Class::Quota),
    ("VcpuLimitExceeded", Class::Quota),
    ("InstanceLimitExceeded", Class::Quota),
    ("VolumeLimitExceeded", Class::Quota),
    ("MaxIOPSLimitExceeded", Class::Quota),
    ("AddressLimitExceeded", Class::Quota),
    ("NetworkInterfaceLimitExceeded", Class::Quota),
    ("VpcLimitExceeded", Class::Quota),
    ("SubnetLimitExceeded", Class::Quota),
    ("InternetGatewayLimitExceeded", Class::Quota),
    ("RouteTableLimitExceeded", Class::Quota),
    ("SecurityGroupLimitExceeded", Class::Quota),
    ("RulesPerSecurityGroupLimitExceeded", Class::Quota),
    ("SecurityGroupsPerInstanceLimitExceeded", Class::Quota),
    // Gone.
    ("InvalidInstanceID.NotFound", Class::Gone),
    ("InvalidSpotInstanceRequestID.NotFound", Class::Gone),
    ("InvalidVpcID.NotFound", Class::Gone),
    ("InvalidSubnetID.NotFound", Class::Gone),
    ("InvalidInternetGatewayID.NotFound", Class::Gone),
    ("InvalidRouteTableID.NotFound", Class::Gone),
    ("InvalidAssociationID.NotFound", Class::Gone),
    ("InvalidRoute.NotFound", Class::Gone),
    ("InvalidGroup.NotFound", Class::Gone),
    ("InvalidSecurityGroupID.NotFound", Class::Gone),
    ("InvalidPermission.NotFound", Class::Gone),
    ("InvalidNetworkInterfaceID.NotFound", Class::Gone),
    ("InvalidVolume.NotFound", Class::Gone),
    ("InvalidKeyPair.NotFound", Class::Gone),
    ("InvalidAMIID.NotFound", Class::Gone),
    ("InvalidAllocationID.NotFound", Class::Gone),
    ("InvalidLaunchTemplateId.NotFound", Class::Gone),
    ("InvalidLaunchTemplateName.NotFoundException", Class::Gone),
    ("InvalidFleetId.NotFound", Class::Gone),
    ("Gateway.NotAttached", Class::Gone),
    // Terminal: who you are, what you may, what you asked for.
    (NO_CREDENTIALS, Class::Terminal),
    (EXPIRED_TOKEN, Class::Terminal),
    ("ExpiredTokenException", Class::Terminal),
    ("RequestExpired", Class::Terminal),
    ("UnauthorizedOperation", Class::Terminal),
    ("AccessDenied", Class::Terminal),
    ("AccessDeniedException", Class::Terminal),
    ("AuthFailure", Class::Terminal),
    ("InvalidClientTokenId", Class::Terminal),
    ("UnrecognizedClientException", Class::Terminal),
    ("SignatureDoesNotMatch", Class::Terminal),
    ("OptInRequired", Class::Terminal),
    ("PendingVerification", Class::Terminal),
    ("Blocked", Class::Terminal),
    ("DependencyViolation", Class::Terminal),
    ("IdempotentParameterMismatch", Class::Terminal),
    ("InvalidParameterValue", Class::Terminal),
    ("InvalidParameterCombination", Class::Terminal),
    ("MissingParameter", Class::Terminal),
    ("InvalidAMIID.Malformed", Class::Terminal),
    ("InvalidAMIID.Unavailable", Class::Terminal),
    ("InvalidInstanceID.Malformed", Class::Terminal),
    ("InvalidInstanceType", Class::Terminal),
    ("OperationNotPermitted", Class::Terminal),
    ("DefaultVpcDoesNotExist", Class::Terminal),
    ("InvalidLaunchTemplateName.AlreadyExistsException", Class::Terminal),
    ("InvalidGroup.Duplicate", Class::Terminal),
    ("InvalidPermission.Duplicate", Class::Terminal),
    ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", Class::Terminal),
];

impl Class {
    /// All classes with their name, what they mean for the caller, and what spot does.
    pub const ALL: [(Class, &'static str, &'static str); 5] = [
        (Class::Retryable, "retryable", "the same call may succeed in a moment: it is made again"),
        (
            Class::Capacity,
            "capacity",
            "this pool has nothing to give: the next pool, type or region is asked",
        ),
        (
            Class::Quota,
            "quota",
            "the account may not have more here: not asked again, and the quota is named",
        ),
        (Class::Gone, "gone", "what it is about does not exist: success for a removal"),
        (Class::Terminal, "terminal", "trying again cannot help"),
    ];
}

/// What a code means. A code that is not in [`TABLE`] is judged by its shape: `Throttl…` is
/// retryable, `Insufficient…Capacity…` is capacity, `…LimitExceeded` a quota, `….NotFound` gone, and
/// the rest terminal.
pub fn classify(code: &str) -> Class {
    if let Some((_, class)) = TABLE.iter().find(|(known, _)| *known == code) {
        return *class;
    }
    if code.starts_with("Throttl") {
        return Class::Retryable;
    }
    if code.starts_with("Insufficient") && code.contains("Capacity") {
        return Class::Capacity;
    }
    if code.ends_with("LimitExceeded") {
        return Class::Quota;
    }
    if code.ends_with(".NotFound") {
        return Class::Gone;
    }
    Class::Terminal
}

/// Whether a code asks for fewer calls.
pub fn throttled(code: &str) -> bool {
    code.contains("Throttl")
        || matches!(code, "RequestLimitExceeded" | "TooManyRequestsException" | "SlowDown")
}

/// Whether a call that failed with this code may have taken effect all the same.
pub fn outcome_unknown(code: &str) -> bool {
    matches!(
        code,
        CONNECTION_FAILED
            | REQUEST_TIMEOUT
            | INVALID_RESPONSE
            | "RequestTimeoutException"
            | "ServiceUnavailable"
            | "Unavailable"
            | "InternalError"
            | "InternalFailure"
            | "InternalServerError"
    )
}

/// Whether a request may be refused with this code since it carries a wrong time, and not only for what the
/// code says: the time is part of the signature.
pub fn about_the_time(code: &str) -> bool {
    matches!(
        code,
        "RequestExpired"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "AuthFailure"
    )
}

/// What the sandbox says of its own limit, for which the account's quotas do nothing.
const LIMIT_OF_SANDBOX: &str = "the limit of the sandbox";

/// What the user can do about a refusal, see [`hint`]; the sandbox refuses more than its machine holds with
/// the code of a quota.
pub fn hint_about(code: &str, message: &str, action: &str, region: &str) -> Option<String> {
    if message.contains(LIMIT_OF_SANDBOX) {
        return Some("remove instances of the sandbox, or allow more: --sandbox-hosts COUNT".to_owned());
    }
    hint(code, action, region)
}

/// What the user can do about a code that `action` met in `region`.
pub fn hint(code: &str, action: &str, region: &str) -> Option<String> {
    let text = match code {
        NO_CREDENTIALS => {
            "run `aws sso login` or `aws configure`, or rehearse without an account: --sandbox".to_owned()
        }
        EXPIRED_TOKEN | "ExpiredTokenException" => {
            "run `aws sso login`, or renew the session keys in the environment or the profile".to_owned()
        }
        "RequestExpired" | "RequestTimeTooSkewed" => "set the clock of this machine: requests carry the time".to_owned(),
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            format!("allow the action `{action}` for this identity, or use another: --profile NAME")
        }
        "AuthFailure" => format!(
            "check the keys with `aws sts get-caller-identity`, and that the region {region} is enabled for the account"
        ),
        "InvalidClientTokenId" | "UnrecognizedClientException" | "SignatureDoesNotMatch" => {
            "check the access key and its secret: `aws sts get-caller-identity`, or run `aws configure`"
                .to_owned()
        }
        "OptInRequired" => format!("enable the region: `aws account enable-region --region-name {region}`"),
        crate::cloud::plan::READ_ONLY => {
            "run it without --read-only to allow changes, or with --dry-run to see what it would do"
                .to_owned()
        }
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted" => {
            "let an administrator make the role once: `aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`".to_owned()
        }
        "MaxSpotInstanceCountExceeded" => quota_hint("ec2", "L-34B43A08", region),
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => {
            format!(
                "{} (on-demand), or L-34B43A08 for spot; both count vCPUs",
                quota_hint("ec2", "L-1216C47A", region)
            )
        }
        "VpcLimitExceeded" => quota_hint("vpc", "L-F678F1CE", region),
        "SpotMaxPriceTooLow" => {
            "raise or remove the price limit: without one the on-demand price is the limit".to_owned()
        }
        "Unsupported" => "choose another instance type or zone: this one is not offered there".to_owned(),
        "DefaultVpcDoesNotExist" => no_default_vpc_hint(region),
        UNREACHABLE => format!("check the network, and that `{region}` is the name of a region"),
        _ => match classify(code) {
            Class::Capacity => "add instance types, zones or regions: this pool has none to give".to_owned(),
            Class::Quota => {
                format!(
                    "remove what is not needed, or ask for more: `aws service-quotas list-service-quotas --service-code ec2 --region {region}`"
                )
            }
            _ => return None,
        },
    };
    Some(text)
}

/// What to do in a region without a default VPC.
pub fn no_default_vpc_hint(region: &str) -> String {
    format!(
        "let spot make its own network (`use_dedicated_vpc = true`), or run `aws ec2 create-default-vpc --region {region}`"
    )
}

fn quota_hint(service: &str, quota: &str, region: &str) -> String {
    format!(
        "ask for a higher quota: `aws service-quotas request-service-quota-increase --service-code {service} --quota-code {quota} --desired-value N --region {region}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second statement of the table, written by meaning, so that a row moved by accident fails.
    fn expected(code: &str) -> Class {
        const CAPACITY: &[&str] = &[
            "UnfulfillableCapacity",
            "MaxFleetCountExceeded",
            "SpotMaxPriceTooLow",
            "Unsupported",
            "InvalidFleetConfiguration",
        ];
        const RETRYABLE: &[&str] = &[
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "EC2ThrottledException",
            "TooManyRequestsException",
            "SlowDown",
            "ServiceUnavailable",
            "Unavailable",
            "IDPCommunicationError",
            "ConnectionFailed",
            "EndpointUnreachable",
            "RequestTimeout",
            "RequestTimeoutException",
            "InvalidResponse",
        ];
        if CAPACITY.contains(&code) || code.starts_with("Insufficient") {
            return Class::Capacity;
        }
        if RETRYABLE.contains(&code) || code.starts_with("Throttl") || code.starts_with("Internal") {
            return if code.starts_with("InternetGateway") { Class::Quota } else { Class::Retryable };
        }
        if code.ends_with("LimitExceeded") || code == "MaxSpotInstanceCountExceeded" {
            return Class::Quota;
        }
        let gone = [".NotFound", ".NotFoundException"].iter().any(|end| code.ends_with(end));
        if gone || code == "Gateway.NotAttached" {
            return Class::Gone;
        }
        Class::Terminal
    }

    #[test]
    fn every_row_means_what_its_name_says() {
        for (code, class) in TABLE {
            assert_eq!(classify(code), *class, "{code}");
            assert_eq!(expected(code), *class, "{code}");
        }
    }

    #[test]
    fn no_code_stands_in_the_table_twice() {
        let mut codes: Vec<&str> = TABLE.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        let rows = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), rows);
    }

    #[test]
    fn unknown_codes_are_judged_by_their_shape() {
        assert_eq!(classify("ThrottledSomething"), Class::Retryable);
        assert_eq!(classify("InsufficientMoonCapacity"), Class::Capacity);
        assert_eq!(classify("MoonLimitExceeded"), Class::Quota);
        assert_eq!(classify("InvalidMoonID.NotFound"), Class::Gone);
        assert_eq!(classify("Whatever"), Class::Terminal);
    }

    #[test]
    fn codes_of_credentials_quota_and_capacity_have_hints() {
        for (code, class) in TABLE {
            let needed = matches!(class, Class::Capacity | Class::Quota)
                || ["Auth", "Expired", "Token", "Credentials", "Unauthorized", "Denied"]
                    .iter()
                    .any(|part| code.contains(part));
            if needed {
                assert!(hint(code, "ec2:RunInstances", "us-west-2").is_some(), "{code}");
            }
        }
        let denied = hint("UnauthorizedOperation", "ec2:RunInstances", "us-west-2").unwrap();
        assert!(denied.contains("ec2:RunInstances"), "{denied}");
    }

    #[test]
    fn only_lost_answers_leave_the_outcome_unknown() {
        assert!(outcome_unknown(CONNECTION_FAILED));
        assert!(outcome_unknown("InternalError"));
        assert!(!outcome_unknown("RequestLimitExceeded"));
        assert!(!outcome_unknown("InsufficientInstanceCapacity"));
        assert!(!outcome_unknown(UNREACHABLE));
    }
}
