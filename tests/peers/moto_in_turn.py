"""moto's server, one request at a time.

S3 decides on a conditional write and carries it out in one step. Moto's threads look at the object, and
replace it later; in between another one may have written. In turn, they cannot.
"""

import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

APPLICATION = DomainDispatcherApplication(create_backend_app)
TURN = threading.Lock()


def in_turn(environ, start_response):
    with TURN:
        return list(APPLICATION(environ, start_response))


run_simple("127.0.0.1", int(sys.argv[1]), in_turn, threaded=True)
