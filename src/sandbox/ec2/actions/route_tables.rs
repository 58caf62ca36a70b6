//! Route tables, their routes and what they apply to.

use super::{Call, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, one};
use crate::sandbox::ec2::model::cidr::Cidr;
use crate::sandbox::ec2::model::ipv6::Ipv6Block;
use crate::sandbox::ec2::model::network::{Association, Route, RouteTable};
use crate::sandbox::ec2::model::region::{Region, find, find_mut};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

const DESTINATION: &[&str] = &["*RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock"];

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateRouteTable", create, &[&["*VpcId", "ClientToken"], TAG_SPECIFICATION]),
    Operation::write("DeleteRouteTable", delete, &[&["*RouteTableId"]]),
    Operation::write(
        "CreateRoute",
        create_route,
        &[DESTINATION, &["GatewayId", "EgressOnlyInternetGatewayId"]],
    ),
    Operation::write("DeleteRoute", delete_route, &[DESTINATION]),
    Operation::write("AssociateRouteTable", associate, &[&["*RouteTableId", "*SubnetId"]]),
    Operation::write("DisassociateRouteTable", disassociate, &[&["*AssociationId"]]),
    Operation::read("DescribeRouteTables", describe, &[&["RouteTableId.N"], FILTER, PAGE]),
];

const FIELDS: &[Field<RouteTable>] = &[
    ("route-table-id", |table, _| one(&table.id)),
    ("vpc-id", |table, _| one(&table.vpc)),
    ("owner-id", |_, _| one(ACCOUNT)),
    ("association.main", |table, _| {
        table.associations.iter().map(|association| association.subnet.is_none().to_string()).collect()
    }),
    ("association.subnet-id", |table, _| {
        table.associations.iter().filter_map(|association| association.subnet.clone()).collect()
    }),
    ("association.route-table-association-id", |table, _| {
        table.associations.iter().map(|association| association.id.clone()).collect()
    }),
    ("association.route-table-id", |table, _| table.associations.iter().map(|_| table.id.clone()).collect()),
    ("route.destination-cidr-block", |table, region| {
        let local = region.vpcs.get(&table.vpc).map(|vpc| vpc.cidr.to_string());
        let others = table.routes.iter().map(|route| route.destination.clone());
        local.into_iter().chain(others).collect()
    }),
    ("route.destination-ipv6-cidr-block", |table, _| {
        let all = table.routes.iter().map(|route| route.destination.clone());
        all.filter(|destination| destination.contains(':')).collect()
    }),
    ("route.gateway-id", |table, _| {
        let others = table.routes.iter().map(|route| route.gateway.clone());
        std::iter::once("local".to_owned()).chain(others).collect()
    }),
];

fn create(call: &mut Call<'_>) -> Answer {
    let vpc = call.params.required("VpcId")?.to_owned();
    let tags = tags::specified(call.params, "route-table")?;
    let id = match call.repeated("CreateRouteTable")? {
        Some(id) => id,
        None => {
            find(&call.region.vpcs, &id::VPC, &vpc)?;
            let id = call.region.add_route_table(&vpc);
            call.region.tag(&id, &tags);
            call.remember("CreateRouteTable", &id);
            id
        }
    };
    let table = find(&call.region.route_tables, &id::ROUTE_TABLE, &id)?;
    let mut xml = Xml::new();
    xml.element("routeTable", |xml| write(xml, table, call.region));
    xml.optional("clientToken", call.params.text("ClientToken"));
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("RouteTableId")?;
    if !find(&call.region.route_tables, &id::ROUTE_TABLE, id)?.associations.is_empty() {
        let message = format!("The routeTable '{id}' has dependencies and cannot be deleted.");
        return Err(Fault::dependency(message));
    }
    call.region.route_tables.remove(id);
    call.region.tags.remove(id);
    done()
}

fn destination(call: &Call<'_>) -> Result<String, Fault> {
    match (call.params.text("DestinationCidrBlock"), call.params.text("DestinationIpv6CidrBlock")) {
        (Some(text), None) => text
            .parse::<Cidr>()
            .map(|cidr| cidr.to_string())
            .map_err(|_| Fault::value_of("destinationCidrBlock", text, "This is not a valid CIDR block.")),
        (None, Some(text)) => {
            Ipv6Block::parse(String::new(), text).map(|block| block.cidr()).ok_or_else(|| {
                Fault::value_of("destinationIpv6CidrBlock", text, "This is not a valid CIDR block.")
            })
        }
        (None, None) => Err(Fault::missing("destinationCidrBlock or destinationIpv6CidrBlock")),
        (Some(_), Some(_)) => Err(Fault::combination(
            "The parameters destinationCidrBlock and destinationIpv6CidrBlock cannot be used together",
        )),
    }
}

fn create_route(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("RouteTableId")?;
    let destination = destination(call)?;
    // Gateways are the only targets in the sandbox.
    let (gateway, egress) = match call.params.text("EgressOnlyInternetGatewayId") {
        Some(id) => (id, true),
        None => (call.params.required("GatewayId")?, false),
    };
    if egress && !destination.contains(':') {
        return Err(Fault::value("An egress-only internet gateway carries IPv6 traffic only"));
    }
    let table = find(&call.region.route_tables, &id::ROUTE_TABLE, id)?;
    let network = match egress {
        true => Some(&find(&call.region.egress_gateways, &id::EGRESS_GATEWAY, gateway)?.vpc),
        false => {
            let known = call.region.gateways.get(gateway).ok_or_else(|| {
                let message = format!("The gateway ID '{gateway}' does not exist");
                Fault::new("InvalidGatewayID.NotFound", message)
            })?;
            known.vpc.as_ref()
        }
    };
    let attached = network == Some(&table.vpc);
    if !attached {
        let message = format!("route table {id} and network gateway {gateway} belong to different networks");
        return Err(Fault::value(message));
    }
    let local = call.region.vpcs.get(&table.vpc).is_some_and(|vpc| vpc.cidr.to_string() == destination);
    if local || table.routes.iter().any(|route| route.destination == destination) {
        let message = format!("The route identified by {destination} already exists.");
        return Err(Fault::new("RouteAlreadyExists", message));
    }
    let route = Route { destination, gateway: gateway.to_owned() };
    find_mut(&mut call.region.route_tables, &id::ROUTE_TABLE, id)?.routes.push(route);
    done()
}

fn delete_route(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("RouteTableId")?;
    let destination = destination(call)?;
    let table = find_mut(&mut call.region.route_tables, &id::ROUTE_TABLE, id)?;
    let before = table.routes.len();
    table.routes.retain(|route| route.destination != destination);
    if table.routes.len() == before {
        let message = format!("no route with destination-cidr-block {destination} in route table {id}");
        return Err(Fault::new("InvalidRoute.NotFound", message));
    }
    done()
}

fn associate(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("RouteTableId")?;
    let subnet = find(&call.region.subnets, &id::SUBNET, call.params.required("SubnetId")?)?.clone();
    let table = find(&call.region.route_tables, &id::ROUTE_TABLE, id)?;
    if table.vpc != subnet.vpc {
        let message = format!("route table {id} and subnet {} belong to different networks", subnet.id);
        return Err(Fault::value(message));
    }
    let existing = call.region.route_tables.values().find_map(|table| {
        let to_it = table.associations.iter().find(|known| known.subnet.as_ref() == Some(&subnet.id));
        to_it.map(|association| (table.id.clone(), association.id.clone()))
    });
    let association = match existing {
        // Asking for what is already so is no error.
        Some((table, association)) if table == id => association,
        Some(_) => {
            let message = format!(
                "the specified association for route table {id} conflicts with an existing association"
            );
            return Err(Fault::new("Resource.AlreadyAssociated", message));
        }
        None => {
            let association = id::ASSOCIATION.draw(&call.region.chance);
            let entry = Association { id: association.clone(), subnet: Some(subnet.id) };
            find_mut(&mut call.region.route_tables, &id::ROUTE_TABLE, id)?.associations.push(entry);
            association
        }
    };
    let mut xml = Xml::new();
    xml.text("associationId", association).element("associationState", |xml| {
        xml.text("state", "associated");
    });
    Ok(xml)
}

fn disassociate(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("AssociationId")?;
    id::ASSOCIATION.check(id)?;
    for table in call.region.route_tables.values_mut() {
        let Some(place) = table.associations.iter().position(|known| known.id == id) else { continue };
        if table.associations.get(place).is_some_and(|known| known.subnet.is_none()) {
            let message = "cannot disassociate the main route table association";
            return Err(Fault::value(format!("{message} {id}")));
        }
        table.associations.remove(place);
        return done();
    }
    Err(id::ASSOCIATION.missing(&[id]))
}

fn describe(call: &mut Call<'_>) -> Answer {
    let all = &call.region.route_tables;
    let (tables, next) = call.list(all, &id::ROUTE_TABLE, "RouteTableId", FIELDS)?;
    let mut xml = Xml::new();
    xml.set("routeTableSet", tables, |xml, (_, table)| write(xml, table, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, table: &RouteTable, region: &Region) {
    xml.text("routeTableId", &table.id).text("vpcId", &table.vpc).text("ownerId", ACCOUNT);
    xml.element("routeSet", |xml| {
        if let Some(vpc) = region.vpcs.get(&table.vpc) {
            xml.element("item", |xml| {
                xml.text("destinationCidrBlock", vpc.cidr).text("gatewayId", "local");
                xml.text("state", "active").text("origin", "CreateRouteTable");
            });
        }
        if let Some(block) = region.vpcs.get(&table.vpc).and_then(|vpc| vpc.ipv6.as_ref()) {
            xml.element("item", |xml| {
                xml.text("destinationIpv6CidrBlock", block.cidr()).text("gatewayId", "local");
                xml.text("state", "active").text("origin", "CreateRouteTable");
            });
        }
        for route in &table.routes {
            xml.element("item", |xml| write_route(xml, route, table, region));
        }
    });
    xml.set("associationSet", &table.associations, |xml, association| {
        xml.text("routeTableAssociationId", &association.id).text("routeTableId", &table.id);
        xml.optional("subnetId", association.subnet.as_ref()).text("main", association.subnet.is_none());
        xml.element("associationState", |xml| {
            xml.text("state", "associated");
        });
    });
    xml.element("propagatingVgwSet", |_| {});
    tags::write(xml, region.tags.get(&table.id));
}

fn write_route(xml: &mut Xml, route: &Route, table: &RouteTable, region: &Region) {
    let v6 = route.destination.contains(':');
    let name = if v6 { "destinationIpv6CidrBlock" } else { "destinationCidrBlock" };
    let egress = route.gateway.starts_with("eigw-");
    let network = match egress {
        true => region.egress_gateways.get(&route.gateway).map(|gateway| &gateway.vpc),
        false => region.gateways.get(&route.gateway).and_then(|gateway| gateway.vpc.as_ref()),
    };
    let attached = network == Some(&table.vpc);
    xml.text(name, &route.destination);
    xml.text(if egress { "egressOnlyInternetGatewayId" } else { "gatewayId" }, &route.gateway);
    xml.text("state", if attached { "active" } else { "blackhole" }).text("origin", "CreateRoute");
}
