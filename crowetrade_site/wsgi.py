"""The web server's door."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import reverse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crowetrade_site.settings")
application = get_wsgi_application()
reverse("admin:index")  # reads all routes and what they lead to now, not while a client waits
