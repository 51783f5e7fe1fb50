"""The dock, in Qt: widgets that show the models and call the controllers."""
