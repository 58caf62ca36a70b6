//! What planned calls about networks are answered with.

use super::answers::{done, tag_set};
use super::element::Element;
use super::overlay::{Overlay, Patch};
use super::request::Asked;

/// A range that no account has: it stands for the one that EC2 would choose.
const SOME_IPV6: &str = "2001:db8:1234:5600::/56";

/// The answer to a call about VPCs, subnets, gateways or routes; `None` for other calls.
pub(super) fn answer(overlay: &mut Overlay, asked: &Asked) -> Option<Vec<Element>> {
    let get = |name: &str| asked.get(name).unwrap_or_default().to_owned();
    Some(match asked.action.as_str() {
        "CreateVpc" => {
            let ipv6 = asked.get("AmazonProvidedIpv6CidrBlock") == Some("true");
            vec![vpc(overlay, asked, &get("CidrBlock"), false, ipv6)]
        }
        "CreateDefaultVpc" => {
            let made = vpc(overlay, asked, "172.31.0.0/16", true, false);
            let id = made.text_of("vpcId").to_owned();
            let seen = overlay.zones.get(&asked.region).cloned();
            let zones = seen.unwrap_or_else(|| vec![format!("{}a", asked.region)]);
            for (number, zone) in zones.iter().enumerate() {
                subnet(overlay, asked, &id, zone, &format!("172.31.{}.0/20", number * 16), true);
            }
            vec![made]
        }
        "CreateSubnet" => {
            let zone = match asked.get("AvailabilityZone") {
                Some(zone) => zone.to_owned(),
                None => format!("{}a", asked.region),
            };
            vec![subnet(overlay, asked, &get("VpcId"), &zone, &get("CidrBlock"), false)]
        }
        "ModifyVpcAttribute" => done(),
        "ModifySubnetAttribute" => {
            for (parameter, path) in [
                ("MapPublicIpOnLaunch.Value", &["mapPublicIpOnLaunch"][..]),
                ("AssignIpv6AddressOnCreation.Value", &["assignIpv6AddressOnCreation"][..]),
            ] {
                if let Some(value) = asked.get(parameter) {
                    overlay.patch(&get("SubnetId"), Patch::Put(path, value.to_owned()));
                }
            }
            done()
        }
        "AssociateVpcCidrBlock" => {
            let association = ipv6_association(overlay, "vpc-cidr-assoc", SOME_IPV6);
            overlay.patch(&get("VpcId"), Patch::Add("ipv6CidrBlockAssociationSet", association.clone()));
            let association = Element { name: "ipv6CidrBlockAssociation".to_owned(), ..association };
            vec![Element::leaf("vpcId", get("VpcId")), association]
        }
        "AssociateSubnetCidrBlock" => {
            let association = ipv6_association(overlay, "subnet-cidr-assoc", &get("Ipv6CidrBlock"));
            overlay.patch(&get("SubnetId"), Patch::Add("ipv6CidrBlockAssociationSet", association.clone()));
            let association = Element { name: "ipv6CidrBlockAssociation".to_owned(), ..association };
            vec![Element::leaf("subnetId", get("SubnetId")), association]
        }
        "CreateInternetGateway" => {
            let id = overlay.name("igw");
            let item = Element::new("internetGateway")
                .with("internetGatewayId", id.clone())
                .child(Element::new("attachmentSet"))
                .child(tag_set(&asked.tags("internet-gateway")));
            overlay.add("igw", asked, &id, item.clone());
            vec![item]
        }
        "AttachInternetGateway" => {
            let attachment = Element::new("").with("vpcId", get("VpcId")).with("state", "available");
            overlay.patch(&get("InternetGatewayId"), Patch::Add("attachmentSet", attachment));
            done()
        }
        "DetachInternetGateway" => {
            overlay.patch(&get("InternetGatewayId"), Patch::Drop("attachmentSet", "vpcId", get("VpcId")));
            done()
        }
        "CreateEgressOnlyInternetGateway" => {
            let id = overlay.name("eigw");
            let attachment = Element::new("").with("vpcId", get("VpcId")).with("state", "attached");
            let item = Element::new("egressOnlyInternetGateway")
                .with("egressOnlyInternetGatewayId", id.clone())
                .child(Element::set("attachmentSet", [attachment]))
                .child(tag_set(&asked.tags("egress-only-internet-gateway")));
            overlay.add("eigw", asked, &id, item.clone());
            vec![Element::leaf("clientToken", get("ClientToken")), item]
        }
        "CreateRouteTable" => {
            let tags = asked.tags("route-table");
            vec![route_table(overlay, asked, &get("VpcId"), false, &tags)]
        }
        "CreateRoute" | "ReplaceRoute" => {
            if asked.action == "ReplaceRoute" {
                drop_route(overlay, asked);
            }
            let mut route = Element::new("").with("state", "active").with("origin", "CreateRoute");
            for (parameter, name) in [
                ("DestinationCidrBlock", "destinationCidrBlock"),
                ("DestinationIpv6CidrBlock", "destinationIpv6CidrBlock"),
                ("GatewayId", "gatewayId"),
                ("EgressOnlyInternetGatewayId", "egressOnlyInternetGatewayId"),
                ("NatGatewayId", "natGatewayId"),
            ] {
                route = route.maybe(name, asked.get(parameter));
            }
            overlay.patch(&get("RouteTableId"), Patch::Add("routeSet", route));
            done()
        }
        "DeleteRoute" => {
            drop_route(overlay, asked);
            done()
        }
        "AssociateRouteTable" => {
            let id = overlay.name("rtbassoc");
            let association = Element::new("")
                .with("routeTableAssociationId", id.clone())
                .with("routeTableId", get("RouteTableId"))
                .with("main", "false")
                .maybe("subnetId", asked.get("SubnetId"))
                .child(Element::new("associationState").with("state", "associated"));
            overlay.patch(&get("RouteTableId"), Patch::Add("associationSet", association));
            vec![
                Element::leaf("associationId", id),
                Element::new("associationState").with("state", "associated"),
            ]
        }
        "DisassociateRouteTable" => {
            overlay.remove(&get("AssociationId"));
            done()
        }
        "DeleteVpc" => {
            let inside =
                |id: &str| overlay.find(id).is_some_and(|it| it.item.text_of("vpcId") == get("VpcId"));
            let parts: Vec<String> =
                overlay.planned.iter().map(|it| it.id.clone()).filter(|id| inside(id)).collect();
            parts.iter().for_each(|id| overlay.remove(id));
            overlay.remove(&get("VpcId"));
            done()
        }
        "DeleteSubnet" => deleted(overlay, &get("SubnetId")),
        "DeleteRouteTable" => deleted(overlay, &get("RouteTableId")),
        "DeleteInternetGateway" => deleted(overlay, &get("InternetGatewayId")),
        "DeleteEgressOnlyInternetGateway" => {
            overlay.remove(&get("EgressOnlyInternetGatewayId"));
            vec![Element::leaf("returnCode", "true")]
        }
        _ => return None,
    })
}

pub(super) fn deleted(overlay: &mut Overlay, id: &str) -> Vec<Element> {
    overlay.remove(id);
    done()
}

fn drop_route(overlay: &mut Overlay, asked: &Asked) {
    let table = asked.get("RouteTableId").unwrap_or_default();
    for (parameter, key) in [
        ("DestinationCidrBlock", "destinationCidrBlock"),
        ("DestinationIpv6CidrBlock", "destinationIpv6CidrBlock"),
    ] {
        if let Some(value) = asked.get(parameter) {
            overlay.patch(table, Patch::Drop("routeSet", key, value.to_owned()));
        }
    }
}

/// A VPC with what EC2 makes together with it: its main route table and its default group.
fn vpc(overlay: &mut Overlay, asked: &Asked, cidr: &str, default: bool, ipv6: bool) -> Element {
    let id = overlay.name("vpc");
    let associated = Element::new("")
        .with("cidrBlock", cidr)
        .child(Element::new("cidrBlockState").with("state", "associated"));
    let mut item = Element::new("vpc")
        .with("vpcId", id.clone())
        .with("state", "available")
        .with("cidrBlock", cidr)
        .with("instanceTenancy", "default")
        .with("isDefault", default.to_string())
        .child(Element::set("cidrBlockAssociationSet", [associated]))
        .child(tag_set(&asked.tags("vpc")));
    if ipv6 {
        let association = ipv6_association(overlay, "vpc-cidr-assoc", SOME_IPV6);
        item = item.child(Element::set("ipv6CidrBlockAssociationSet", [association]));
    }
    overlay.add("vpc", asked, &id, item.clone());
    route_table(overlay, asked, &id, true, &[]);
    let group = overlay.name("sg");
    let group_item = Element::new("")
        .with("groupId", group.clone())
        .with("groupName", "default")
        .with("groupDescription", "default VPC security group")
        .with("vpcId", id);
    overlay.add("sg", asked, &group, group_item);
    item
}

fn subnet(overlay: &mut Overlay, asked: &Asked, vpc: &str, zone: &str, cidr: &str, default: bool) -> Element {
    let id = overlay.name("subnet");
    let mut item = Element::new("subnet")
        .with("subnetId", id.clone())
        .with("state", "available")
        .with("vpcId", vpc)
        .with("cidrBlock", cidr)
        .with("availabilityZone", zone)
        .with("availableIpAddressCount", "4091")
        .with("defaultForAz", default.to_string())
        .with("mapPublicIpOnLaunch", default.to_string())
        .child(tag_set(&asked.tags("subnet")));
    if let Some(range) = asked.get("Ipv6CidrBlock") {
        let association = ipv6_association(overlay, "subnet-cidr-assoc", range);
        item = item.child(Element::set("ipv6CidrBlockAssociationSet", [association]));
    }
    overlay.subnets.insert(id.clone(), (zone.to_owned(), vpc.to_owned()));
    overlay.add("subnet", asked, &id, item.clone());
    item
}

fn route_table(
    overlay: &mut Overlay,
    asked: &Asked,
    vpc: &str,
    main: bool,
    tags: &[(String, String)],
) -> Element {
    let id = overlay.name("rtb");
    let association = main.then(|| {
        Element::new("")
            .with("routeTableAssociationId", overlay.name("rtbassoc"))
            .with("routeTableId", id.clone())
            .with("main", "true")
            .child(Element::new("associationState").with("state", "associated"))
    });
    let range = overlay.find(vpc).map(|vpc| vpc.item.text_of("cidrBlock").to_owned()).unwrap_or_default();
    let local = Element::new("")
        .with("destinationCidrBlock", range)
        .with("gatewayId", "local")
        .with("state", "active");
    let item = Element::new("routeTable")
        .with("routeTableId", id.clone())
        .with("vpcId", vpc)
        .child(Element::set("routeSet", [local]))
        .child(Element::set("associationSet", association))
        .child(tag_set(tags));
    overlay.add("rtb", asked, &id, item.clone());
    item
}

fn ipv6_association(overlay: &mut Overlay, kind: &'static str, range: &str) -> Element {
    Element::new("")
        .with("ipv6CidrBlock", range)
        .child(Element::new("ipv6CidrBlockState").with("state", "associated"))
        .with("networkBorderGroup", "")
        .with("associationId", overlay.name(kind))
}
