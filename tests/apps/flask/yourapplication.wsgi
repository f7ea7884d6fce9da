from yourapplication import app as application
