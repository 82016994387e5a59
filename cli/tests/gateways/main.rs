//! Real gateways with the configurations of `examples/gateways`, between a
//! client, the endpoint and a recording API. A gateway that is not installed
//! fails its tests: `tests/install_gateways.sh` installs them all.

mod api;
mod cases;
mod client;
mod contract;
mod endpoint;
mod gateway;
mod inputs;
mod kubernetes;
mod manifests;
mod notices;
mod preflights;
mod readme;
mod scene;
mod secret;
mod traces;

macro_rules! clauses {
    ($gateway:expr; $($file:ident: $($clause:ident)*;)*) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $clause() {
            $file::$clause($gateway).await;
        }
    )*)*};
}

/// A module for each gateway, with a test for each clause of the contract.
macro_rules! gateways {
    ($($module:ident: $gateway:expr;)*) => {$(
        mod $module {
            use super::gateway::*;
            use super::{contract, inputs, notices, preflights, secret, traces};

            clauses! { $gateway;
                contract:
                a_granted_method_passes_with_its_user
                a_body_and_its_type_pass
                other_methods_are_refused
                a_missing_or_bad_token_is_challenged
                two_credentials_are_refused
                the_backup_passes_until_it_is_deleted
                a_forged_identity_never_wins
                a_forged_method_never_wins
                a_method_override_does_not_reach_the_api
                no_client_can_remove_its_identity
                no_denial_is_an_approval_to_a_grpc_client
                an_endpoint_that_is_down_approves_nothing
                an_endpoint_that_hangs_approves_nothing
                an_endpoint_in_trouble_approves_nothing
                a_revocation_takes_effect
                many_requests_need_few_connections;
                inputs:
                no_credential_makes_an_error_of_the_server
                no_length_of_a_head_makes_an_error_of_the_program
                no_method_or_target_makes_an_error_of_the_server
                no_number_or_size_of_headers_makes_an_error_of_the_server;
                notices:
                the_client_is_told_what_becomes_of_its_token
                no_client_is_told_of_another_request
                the_api_says_nothing_in_place_of_the_endpoint;
                preflights:
                a_preflight_is_denied_unless_the_endpoint_is_set_to_let_it_pass
                a_true_preflight_passes_without_a_user_where_the_endpoint_is_set_so
                nothing_but_a_true_preflight_passes_without_a_token;
                secret:
                a_gateway_without_the_secret_is_an_outage_and_never_a_denial;
                traces:
                the_endpoint_is_told_the_trace_of_the_client;
            }
        }
    )*};
}

gateways! {
    nginx: NGINX;
    caddy: CADDY;
    traefik: TRAEFIK;
    envoy_http: ENVOY_HTTP;
    haproxy: HAPROXY;
    apache: APACHE;
    envoy_grpc: ENVOY_GRPC;
}
